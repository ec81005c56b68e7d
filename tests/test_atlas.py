from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from damage import change_json, truncate
from torch import Tensor, distributions

import explorer
from explorer import atlas, checkpoints, data, models
from explorer.files import DamagedFile, sha256
from explorer.loaded import Model
from tests.damage import unsealed

BOTH = pytest.mark.parametrize("model", ["ae", "vae"])


def decode_by_steps(layers: tuple[dict[str, Any], ...], weights: atlas.Arrays, z: np.ndarray) -> np.ndarray:
    """What a reader makes of z who has nothing but the atlas."""
    held = {name: torch.from_numpy(value.astype(np.float32)) for name, value in weights.items()}
    steps: dict[str, Callable[[Tensor, dict[str, Any]], Tensor]] = {
        "linear": lambda a, step: a @ held[step["weight"]].T + held[step["bias"]],
        "relu": lambda a, step: a.clamp(min=0),
        "unflatten": lambda a, step: a.reshape(len(a), *step["shape"]),
        "conv_transpose": lambda a, step: F.conv_transpose2d(
            a, held[step["weight"]], held[step["bias"]], stride=step["stride"], padding=step["padding"]
        ),
        "sigmoid": lambda a, step: 1 / (1 + torch.exp(-a)),
    }
    values = torch.from_numpy(z)
    for step in layers:
        values = steps[step["kind"]](values, step)
    return values.numpy()


def untrained(arch: str, name: str = "ae", *, scale: float = 1.0) -> Model:
    """A model of random weights; those of the decoder's first layer are scaled."""
    hidden = {"mlp": (12,), "conv": (4, 6)}[arch]
    module = models.build(name, seed=0, image_shape=(1, 8, 8), latent_dim=3, arch=arch, hidden=hidden)
    with torch.no_grad():
        module.decoder[0].weight.mul_(scale)
    return Model(module, None)  # type: ignore[arg-type]


@BOTH
def test_its_codes_are_those_of_its_images(
    atlases: dict[str, atlas.Atlas], trained: dict[str, Path], digits: data.Dataset, model: str
) -> None:
    made = atlases[model]
    np.testing.assert_array_equal(made.images["images"], digits.x_test[: len(made.codes["labels"])])
    np.testing.assert_array_equal(made.codes["labels"], digits.y_test[: len(made.codes["labels"])])
    again = explorer.load(trained[model]).encode(made.images["images"].astype(np.float32) / 255)
    np.testing.assert_allclose(made.codes["codes"], again, rtol=2e-5, atol=1e-5)


@BOTH
def test_its_decoder_can_be_followed_step_by_step(
    atlases: dict[str, atlas.Atlas], trained: dict[str, Path], model: str
) -> None:
    made = atlases[model]
    spread = np.random.default_rng(0).normal(size=(300, 3)) * 4 * made.codes["codes"].std(axis=0)
    z = np.concatenate([made.codes["codes"], spread]).astype(np.float32)
    by_steps = decode_by_steps(made.layers, made.decoder, z)
    assert np.abs(by_steps - explorer.load(trained[model]).decode(z)).max() < 1 / 255


def test_a_conv_decoder_can_be_followed_too() -> None:
    model = untrained("conv")
    z = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    by_steps = decode_by_steps(atlas.decoder_layers(model.module), atlas.decoder_arrays(model, z, seed=0), z)
    np.testing.assert_allclose(by_steps, model.decode(z), atol=1 / 255)


@pytest.mark.parametrize(("scale", "kind"), [(1.0, np.float16), (300.0, np.float32), (1e7, np.float32)])
def test_weights_are_halved_only_where_no_pixel_moves(scale: float, kind: type) -> None:
    codes = np.random.default_rng(0).normal(size=(200, 3)).astype(np.float32)
    assert {value.dtype for value in atlas.decoder_arrays(untrained("mlp", scale=scale), codes, seed=0).values()} == {
        np.dtype(kind)
    }


def test_a_layer_the_browser_does_not_know_is_named() -> None:
    model = untrained("mlp")
    model.module.decoder.append(torch.nn.Tanh())
    with pytest.raises(TypeError, match="Tanh"):
        atlas.decoder_layers(model.module)


def test_the_kl_of_each_dimension_is_that_of_torch_distributions(atlases: dict[str, atlas.Atlas]) -> None:
    made = atlases["vae"]
    mu, logvar = torch.from_numpy(made.codes["codes"]), torch.from_numpy(made.posterior["logvar"].astype(np.float32))
    posterior = distributions.Normal(mu, logvar.mul(0.5).exp())
    expected = distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).mean(dim=0)
    np.testing.assert_allclose(made.codes["kl_per_dim"], expected.numpy(), rtol=1e-4)


def test_the_posterior_is_the_models_own(atlases: dict[str, atlas.Atlas], trained: dict[str, Path]) -> None:
    made = atlases["vae"]
    _, logvar = explorer.load(trained["vae"]).posterior(made.images["images"].astype(np.float32) / 255)
    np.testing.assert_allclose(made.posterior["logvar"], logvar, rtol=1e-3, atol=1e-3)


def test_an_ae_has_neither_posterior_nor_kl(atlases: dict[str, atlas.Atlas]) -> None:
    assert atlases["ae"].posterior == {}
    np.testing.assert_array_equal(atlases["ae"].codes["kl_per_dim"], 0)


@BOTH
def test_its_pca_plane_is_that_of_the_two_largest_singular_values(atlases: dict[str, atlas.Atlas], model: str) -> None:
    codes = atlases[model].codes
    _, _, rows = np.linalg.svd(codes["codes"] - codes["codes"].mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(codes["pca_components"]), np.abs(rows[:2]), atol=1e-4)


def test_a_perfect_copy_costs_what_torch_says_it_does() -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 1, 4, 4), dtype=np.uint8)
    x = torch.from_numpy(images / 255)
    expected = torch.nn.functional.binary_cross_entropy(x, x, reduction="sum") / 5
    assert atlas.perfect_copy(images) == pytest.approx(expected.item())
    assert atlas.perfect_copy(images // 255 * 255) == 0


# ---- on disk


def arrays_of(made: atlas.Atlas) -> dict[str, np.ndarray]:
    return {f"{part}/{name}": value for part in atlas.PARTS for name, value in getattr(made, part).items()}


@BOTH
def test_what_was_saved_is_loaded(atlases: dict[str, atlas.Atlas], shipped: Path, model: str) -> None:
    expected, found = arrays_of(atlases[model]), arrays_of(atlas.load(shipped / f"digits-{model}-3"))
    assert expected.keys() == found.keys()
    for name in expected:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
        assert found[name].dtype == expected[name].dtype, name
    assert atlas.load(shipped / f"digits-{model}-3").layers == atlases[model].layers


def test_models_of_one_data_set_share_its_images(shipped: Path) -> None:
    assert len(list(shipped.glob("images-*.gz"))) == 1
    assert not list(shipped.glob("*/images-*.gz"))


def test_the_same_atlas_gives_the_same_bytes(atlases: dict[str, atlas.Atlas], tmp_path: Path) -> None:
    for folder in ("one", "two"):
        atlas.save(atlases["vae"], tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert len(names) == 5
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in names)


def test_each_part_is_named_with_the_hash_and_size_it_has(shipped: Path) -> None:
    folder = shipped / "digits-vae-3"
    for part in atlas.read_manifest(folder)["parts"].values():
        content = atlas.part_path(folder, part["file"]).read_bytes()
        assert (sha256(content), len(content)) == (part["sha256"], part["bytes"])


# ---- damage


@pytest.mark.parametrize("name", atlas.PARTS)
@pytest.mark.parametrize("damage", [Path.unlink, truncate])
def test_a_damaged_part_is_named(library: Path, name: str, damage: Callable[[Path], object]) -> None:
    folder = library / "digits-vae-3"
    path = atlas.part_path(folder, atlas.read_manifest(folder)["parts"][name]["file"])
    damage(path)
    with pytest.raises(DamagedFile, match=path.name):
        atlas.load(folder)


@pytest.mark.parametrize(
    "content",
    [
        b"not gzip",
        gzip.compress(b"not safetensors"),
        gzip.compress(b"cut short" * 99)[:-9],
        gzip.compress((1 << 40).to_bytes(8, "little")),
    ],
    # gzip writes the time of day into what it packs, and a test's name must not change with it.
    ids=["not gzip", "not safetensors", "cut short", "a header without end"],
)
def test_a_part_of_the_right_hash_and_the_wrong_kind_is_named(library: Path, content: bytes) -> None:
    folder = library / "digits-vae-3"
    (folder / "codes.gz").write_bytes(content)
    parts = atlas.read_manifest(folder)["parts"]
    parts["codes"]["sha256"] = sha256(content)
    change_json(folder / atlas.MANIFEST, parts=parts)
    with pytest.raises(DamagedFile, match=r"codes\.gz is not a part of an atlas"):
        atlas.load(folder)


def test_a_part_that_unpacks_without_end_is_refused(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = library / "digits-vae-3"
    content = gzip.compress(atlas.pack({"zeros": np.zeros(50_000, np.uint8)}))
    (folder / "codes.gz").write_bytes(content)
    parts = atlas.read_manifest(folder)["parts"]
    parts["codes"]["sha256"] = sha256(content)
    change_json(folder / atlas.MANIFEST, parts=parts)
    assert len(atlas.read_part(folder, "codes")["zeros"]) == 50_000
    monkeypatch.setattr(atlas, "MAX_PART_BYTES", 10_000)
    assert len(content) < 10_000
    with pytest.raises(DamagedFile, match=r"codes\.gz is not a part of an atlas"):
        atlas.read_part(folder, "codes")


@pytest.mark.parametrize(
    "file",
    ["../../etc/passwd", "/etc/passwd", "..", ".", "", ".hidden", "a/b", "a\\b", "codes.gz\0", "codes\n.gz", "x" * 300],
)
def test_a_part_that_points_elsewhere_is_refused(library: Path, file: str) -> None:
    folder = library / "digits-vae-3"
    parts = atlas.read_manifest(folder)["parts"]
    parts["codes"]["file"] = file
    change_json(folder / atlas.MANIFEST, parts=parts)
    with pytest.raises(DamagedFile, match="a plain file name was expected"):
        atlas.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "JSON with a format number was expected"),
        (b"\xff\xfe", "JSON with a format number was expected"),
        (b"[1]", "JSON with a format number was expected"),
        (b"[" * 90_000, "JSON with a format number was expected"),
        (b'{"format": 2, "parts": {}}', "has format 2; this version reads format 1: update Latent Explorer"),
        (b'{"format": 1}', "n, layers, trust, perfect_copy and the parts images, codes, decoder were expected"),
        (b"{" + b" " * atlas.MAX_MANIFEST_BYTES + b"}", "is too large"),
    ],
)
def test_what_is_no_manifest_is_named(library: Path, content: bytes, message: str) -> None:
    path = library / "digits-vae-3" / atlas.MANIFEST
    path.write_bytes(content)
    with pytest.raises(DamagedFile) as raised:
        atlas.load(path.parent)
    assert f"{path} " in str(raised.value)
    assert message in str(raised.value)


def without(key: str) -> Callable[[dict], None]:
    return lambda manifest: manifest.pop(key)


@pytest.mark.parametrize(
    "change",
    [
        without("n"),
        without("layers"),
        without("trust"),
        without("perfect_copy"),
        lambda manifest: manifest["parts"].pop("codes"),
        lambda manifest: manifest["parts"].update(extra=manifest["parts"]["codes"]),
        lambda manifest: manifest["parts"].update(codes="codes.gz"),
        lambda manifest: manifest["parts"]["codes"].update(file=5),
        lambda manifest: manifest["parts"]["codes"].pop("sha256"),
        lambda manifest: manifest.update(parts=["images", "codes", "decoder"]),
    ],
)
def test_a_manifest_that_lacks_what_a_reader_needs_is_refused(library: Path, change: Callable[[dict], None]) -> None:
    path = library / "digits-vae-3" / atlas.MANIFEST
    manifest = unsealed(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest))
    with pytest.raises(
        DamagedFile, match="n, layers, trust, perfect_copy and the parts images, codes, decoder were expected"
    ):
        atlas.read_manifest(path.parent)


def test_an_atlas_outlives_its_weights(library: Path, atlases: dict[str, atlas.Atlas]) -> None:
    """It is read with numpy alone: no weights, no card, no torch."""
    (library / "digits-vae-3" / checkpoints.WEIGHTS).unlink()
    loaded = atlas.load(library / "digits-vae-3")
    np.testing.assert_array_equal(loaded.codes["umap"], atlases["vae"].codes["umap"])
