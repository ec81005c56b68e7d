"""A model is brought as ONNX by a visitor, decoded on the server for that visitor alone, and gone when they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from starlette.applications import Starlette

from explorer import arrivals, atlas, catalogue, checkpoints, data, decode_routes, models, onefile, own_data
from explorer.arrivals import Given
from explorer.foreign import bringing, process
from explorer.foreign.bringing import Order
from explorer.foreign.limits import MAX_CODES
from explorer.foreign.serving import Decoders, Unanswered
from explorer.models import AE
from explorer.visitors import COOKIE, RECORD, DataShelf, Shelf
from tests.asgi import Answer, get
from tests.onnx_files import decoder_bytes, encoder_bytes, graph_bytes

ANNA, BEN = "A" * 32, "B" * 32
D, GREY = 2, (1, 8, 8)
EQUAL = 1e-5


@pytest.fixture(scope="module")
def vae() -> AE:
    model = models.build("vae", seed=3, image_shape=GREY, latent_dim=D, arch="mlp", hidden=(9,))
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A visitor's data set of sixty items held out."""
    rng, folder = np.random.default_rng(0), tmp_path_factory.mktemp("own")
    x, y = rng.integers(0, 256, (60, *GREY), np.uint8), (np.arange(60) % 2).astype(np.uint8)
    parts = {"x_train": x[:5], "y_train": y[:5], "x_test": x, "y_test": y}
    own_data.save(folder, own_data.make(title="Blots", source="blots.zip", classes=("a", "b"), **parts))
    return folder


@pytest.fixture(scope="module")
def brought(tmp_path_factory: pytest.TempPathFactory, vae: AE, own: Path) -> tuple[Path, list[str]]:
    """The folder of a model that a process has made of both files, and what it said. Not to be changed."""
    folder = tmp_path_factory.mktemp("brought")
    (folder / checkpoints.ONNX_DECODER).write_bytes(decoder_bytes(vae, odd=True))
    (folder / "encoder.onnx").write_bytes(encoder_bytes(vae, split=True))
    order = Order("vae", "unit", "", str(folder), encoder="encoder.onnx", data_folder=str(own))
    return folder, process.bring(order, visitor="anna", tell=lambda *news: None)


@pytest.fixture
def shelf(tmp_path: Path, brought: tuple[Path, list[str]]) -> Shelf:
    """A shelf on which Anna has the model."""
    made = Shelf(tmp_path / "shelf")
    assert made.keep(ANNA, [brought[0]], name="mine") == ["mine-vae"]
    return made


@pytest.fixture
def decoders() -> Iterator[Decoders]:
    made = Decoders()
    yield made
    made.close()


@pytest.fixture
def ask(shelf: Shelf, decoders: Decoders) -> Callable[..., Answer]:
    app = Starlette(routes=decode_routes.routes("", shelf, decoders))

    def ask(body: bytes, *, visitor: str = ANNA, name: str = "mine-vae") -> Answer:
        return get(app, f"/mine/{name}/decode", method="POST", body=body, cookie=f"{COOKIE}={visitor}")

    return ask


def codes(n: int) -> np.ndarray:
    return np.random.default_rng(4).normal(size=(n, D)).astype(np.float32)


def test_its_card_and_atlas_hold_what_torch_computes(brought: tuple[Path, list[str]], vae: AE, own: Path) -> None:
    folder, said = brought
    assert said == [
        "The decoder takes [N, 2] and gives [N, 1, 8, 8].",
        "The encoder gives two times 2 numbers: read as mu, logvar.",
        "It is not live: each image comes from the server.",
    ]
    there, card = atlas.load(folder), checkpoints.read_card(folder)
    x = torch.from_numpy(own_data.load(own).x_test).float() / 255
    mu, logvar = vae.posterior(x)  # type: ignore[operator]
    np.testing.assert_allclose(there.codes["codes"], mu, rtol=1e-4, atol=EQUAL)
    np.testing.assert_allclose(there.posterior["logvar"], logvar, rtol=1e-3, atol=1e-3)
    assert card.test_recon == pytest.approx(float(models.recon_loss(vae.logits(mu), x)), rel=1e-4)
    assert card.test_kl == pytest.approx(float(models.kl_to_standard_normal(mu, logvar)), rel=1e-4)
    assert card.parameters >= sum(value.numel() for value in vae.parameters())
    assert there.about == own_data.load(own).about
    assert there.decoder == {}


def test_its_owner_gets_what_torch_decodes_again_after_the_process_has_died(
    ask: Callable[..., Answer], vae: AE, decoders: Decoders
) -> None:
    z = codes(MAX_CODES)
    for _ in range(2):
        answer = ask(z.tobytes())
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-store")
        found = np.frombuffer(answer.body, "<f4").reshape(-1, *GREY)
        np.testing.assert_allclose(found, vae.decode(torch.from_numpy(z)), atol=EQUAL)
        (served,) = decoders.running.values()
        served.process.kill()
        served.process.wait()


def test_nobody_else_can_decode_it_or_see_that_it_is_there(ask: Callable[..., Answer], shelf: Shelf) -> None:
    known = [ask(codes(1).tobytes(), visitor=visitor, name=name) for visitor, name in ((BEN, "mine-vae"), (ANNA, "no"))]
    assert [answer.status for answer in known] == [404, 404]
    assert known[0].body == known[1].body
    assert ask(codes(1).tobytes(), visitor="").status == 404
    shelf.forget_brought(ANNA)
    assert ask(codes(1).tobytes()).status == 404
    assert not [*shelf.root.rglob("*.onnx")]


@pytest.mark.parametrize(
    "body",
    [b"", b"12345", codes(1).tobytes()[:-4], codes(MAX_CODES + 1).tobytes(), np.full((1, D), np.nan, "<f4").tobytes()],
)
def test_what_are_no_codes_is_refused_with_what_would_be_right(ask: Callable[..., Answer], body: bytes) -> None:
    answer = ask(body)
    assert answer.status == 400
    assert "1 to 64 codes of 2 finite float32 numbers were expected" in json.loads(answer.body)["problem"]


def test_the_browser_is_told_where_to_ask_and_a_file_without_a_server_is_refused(shelf: Shelf) -> None:
    (entry,) = shelf.of(ANNA)
    told = catalogue.describe(entry, folder="mine")
    assert (told["decode"], told["drawn"], told["encoder"]) == ("mine/mine-vae/decode", False, None)
    assert set(told["parts"]) == {"images", "codes", "posterior"}
    with pytest.raises(onefile.NoPair, match="mine-vae is decoded on the server"):
        onefile.one_file(entry, entry, models=catalogue.shipped(), titles=data.titles())


def test_without_an_encoder_draws_stand_for_the_data_and_say_so(tmp_path: Path, vae: AE, own: Path) -> None:
    (tmp_path / checkpoints.ONNX_DECODER).write_bytes(decoder_bytes(vae))
    said = bringing.bring(Order("ae", "unit", "", str(tmp_path), data_folder=str(own)), lambda *news: None)
    assert said[1:] == [
        "There is no encoder: the points are draws from N(0, I), and their images are what it decodes.",
        "Its decoder is a plain chain of layers: it is live in the browser.",
    ]
    entry, there = catalogue.read_entry(tmp_path), atlas.load(tmp_path)
    told = catalogue.describe(entry, folder="mine")
    assert (told["drawn"], told["decode"], "posterior" in told["parts"]) == (True, None, False)
    assert there.about
    assert there.about.title == "drawn from N(0, I), as large as Blots"
    z = there.codes["codes"]
    np.testing.assert_allclose([z.mean(), z.std()], [0, 1], atol=0.05)
    drawn = 255 * vae.decode(torch.from_numpy(z)).numpy()
    np.testing.assert_allclose(there.images["images"], drawn, atol=0.51)


def given(decoder: bytes, own: Path, **more: Any) -> Given:
    return Given(
        **{"name": "mine", "kind": "ae", "units": "unit", "encoder": None, "dataset": "", **more},
        decoder=decoder,
        data_folder=own,
    )


def test_umap_comes_to_the_shelf_when_it_is_drawn(
    tmp_path: Path, vae: AE, own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf, places = Shelf(tmp_path / "shelf"), DataShelf(tmp_path / "data")
    monkeypatch.setattr(process, "bring", lambda order, visitor, tell: bringing.bring(order, tell))
    monkeypatch.setattr("explorer.projection.umap", lambda codes, seed: codes[:, :2])
    drawn = []

    def draw(folder: Path) -> bool:
        drawn.append("umap" in atlas.load(shelf.pairs(ANNA)["mine"].folders[0]).codes)
        bringing.draw(folder)
        return True

    found = arrivals.bring(ANNA, given(decoder_bytes(vae), own), shelf=shelf, data_shelf=places, tell=print, draw=draw)
    found.drawing.join()
    there = atlas.load(shelf.pairs(ANNA)["mine"].folders[0])
    assert (found.name, drawn) == ("mine-ae", [False])
    np.testing.assert_allclose(there.codes["umap"], there.codes["codes"][:, :2], atol=1e-2)
    assert not [*(tmp_path / "data").rglob("*.onnx")]


@pytest.mark.parametrize(
    ("change", "right"),
    [
        ({"name": "no/../path"}, "letters, digits, dots or dashes"),
        ({"encoder": b"no encoder"}, "The encoder is not"),
        ({"decoder": bytes(60_000_000)}, "60,000,000 bytes, at most 50,000,000"),
        ({"dataset": "unheard-of", "data_folder": None}, "Unknown data set"),
    ],
)
def test_what_cannot_be_brought_leaves_nothing(
    tmp_path: Path, vae: AE, own: Path, monkeypatch: pytest.MonkeyPatch, change: dict[str, Any], right: str
) -> None:
    monkeypatch.setattr(process, "bring", lambda order, visitor, tell: bringing.bring(order, tell))
    shelf, places = Shelf(tmp_path / "shelf"), DataShelf(tmp_path / "data")
    asked = Given(**{**given(decoder_bytes(vae), own).__dict__, **change})
    with pytest.raises(ValueError, match=right):
        arrivals.bring(ANNA, asked, shelf=shelf, data_shelf=places, tell=print)
    assert not shelf.of(ANNA)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and path.name != RECORD]


def bomb() -> bytes:
    """A small file that asks for a tensor of 40 GB."""
    weights = {"size": np.array([10**5, 10**5], np.int64)}
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c"]), helper.make_node("ReduceMax", ["c"], ["m"])]
    nodes.append(helper.make_node("Add", ["z", "m"], ["x_hat"]))
    return graph_bytes(nodes, weights, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", D]})


def endless() -> bytes:
    """A small file whose answer takes minutes."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1e-9])
    nodes = [helper.make_node("ConstantOfShape", ["size"], ["c0"], value=one)]
    nodes += [helper.make_node("MatMul", [f"c{i}", "c0"], [f"c{i + 1}"]) for i in range(400)]
    nodes += [helper.make_node("ReduceMax", ["c400"], ["m"]), helper.make_node("Add", ["z", "m"], ["x_hat"])]
    weights = {"size": np.array([3000, 3000], np.int64)}
    return graph_bytes(nodes, weights, inputs={"z": ["N", D]}, outputs={"x_hat": ["N", D]})


@pytest.mark.parametrize(
    ("content", "right"), [(bomb(), "the 3 GB of memory"), (endless(), "more than one may take here")]
)
def test_a_graph_that_takes_too_much_ends_its_own_process_alone(
    tmp_path: Path, own: Path, content: bytes, right: str
) -> None:
    (tmp_path / checkpoints.ONNX_DECODER).write_bytes(content)
    order = Order("ae", "unit", "", str(tmp_path), data_folder=str(own))
    with pytest.raises(ValueError, match=right):
        process.bring(order, visitor="anna", tell=lambda *news: None, longest_s=3)


def test_an_answer_that_takes_too_long_is_given_up_with_a_sentence(shelf: Shelf) -> None:
    _, model = decode_routes.served(shelf, ANNA, "mine-vae") or pytest.fail("not there")
    model.decoder.write_bytes(endless())
    decoders = Decoders(longest_s=2)
    with pytest.raises(Unanswered, match="longer than 2 seconds"):
        decoders.decode(model, codes(1))
    assert not decoders.running


def test_processes_end_when_they_are_idle_and_when_there_are_too_many(
    shelf: Shelf, brought: tuple[Path, list[str]]
) -> None:
    shelf.keep(ANNA, [brought[0]], name="other")
    first, second = (decode_routes.served(shelf, ANNA, name) or pytest.fail(name) for name in ("mine-vae", "other-vae"))
    decoders = Decoders(at_once=1, idle_s=0.3)
    decoders.decode(first[1], codes(1))
    (one,) = decoders.running.values()
    decoders.decode(second[1], codes(1))
    assert one.process.poll() is not None
    (two,) = decoders.running.values()
    two.process.wait(timeout=20)
    decoders.close()


@pytest.mark.parametrize("seed", range(2))
def test_a_damaged_file_is_brought_or_refused_and_never_ends_the_server(
    tmp_path: Path, vae: AE, own: Path, seed: int
) -> None:
    rng, content = np.random.default_rng(seed), bytearray(decoder_bytes(vae, odd=True))
    for at in rng.integers(0, len(content), 12):
        content[at] = rng.integers(0, 256)
    (tmp_path / checkpoints.ONNX_DECODER).write_bytes(content)
    order = Order("ae", "cut", "", str(tmp_path), data_folder=str(own))
    try:
        said = process.bring(order, visitor="anna", tell=lambda *news: None, longest_s=20)
    except ValueError as refusal:
        said = [str(refusal)]
    assert all(0 < len(sentence) < 500 for sentence in said)
