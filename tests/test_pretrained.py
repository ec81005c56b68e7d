"""The models that ship: as good as promised, made in fair pairs, and what their cards and atlases say is true."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import distributions

import explorer
from explorer import atlas, checkpoints, classifier, data, scoreboard
from explorer.files import sha256
from explorer.loaded import Model

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "scripts"))

DATASETS, DIMENSIONS = ("mnist", "fashion-mnist"), (2, 16)
PAIRS = [(f"{dataset}-ae-{d}", f"{dataset}-vae-{d}") for dataset in DATASETS for d in DIMENSIONS]
NAMES = list(itertools.chain(*PAIRS))
VAES = [name for name in NAMES if "-vae-" in name]


def atlas_of(name: str) -> atlas.Atlas:
    return atlas.load(checkpoints.find(name))


def recon_of(model: Model, x: np.ndarray) -> float:
    """Nats an image, from the code itself, in float64."""
    unit = torch.from_numpy(x / 255)
    x_hat = model.module.double().decode(model.module.encode(unit))
    model.module.float()
    return F.binary_cross_entropy(x_hat, unit, reduction="none").sum(dim=(1, 2, 3)).mean().item()


def kl_of(model: Model, x: np.ndarray) -> float:
    mu, logvar = model.posterior(torch.from_numpy(x / 255))
    posterior = distributions.Normal(mu.double(), logvar.double().mul(0.5).exp())
    return distributions.kl_divergence(posterior, distributions.Normal(0.0, 1.0)).sum(dim=1).mean().item()


@pytest.mark.parametrize(
    ("name", "recon", "kl"),
    [
        ("mnist-ae-2", 137.0, (0, 0)),
        ("mnist-vae-2", 140.0, (5, 8)),
        ("mnist-ae-16", 72.5, (0, 0)),
        ("mnist-vae-16", 80.0, (10, 30)),
    ],
)
def test_the_models_are_as_good_as_promised_on_all_10000_test_images(
    name: str, recon: float, kl: tuple[float, float]
) -> None:
    card = checkpoints.verify(checkpoints.find(name))
    assert card.n_test == 10_000
    assert card.test_recon <= recon
    assert kl[0] <= card.test_kl <= kl[1]


@pytest.mark.parametrize(("ae", "vae"), PAIRS)
def test_the_two_of_a_pair_differ_in_the_loss_alone(ae: str, vae: str) -> None:
    cards = [checkpoints.verify(checkpoints.find(name)) for name in (ae, vae)]
    shared = ("dataset", "data_sha256", "n_train", "n_test", "arch", "hidden", "image_shape", "latent_dim")
    for field in (*shared, "epochs", "batch_size", "lr", "seed", "versions"):
        assert getattr(cards[0], field) == getattr(cards[1], field), field
    assert [card.model for card in cards] == ["ae", "vae"]
    assert [card.beta for card in cards] == [0, 1]
    assert cards[0].n_train == 60_000
    d, width = cards[0].latent_dim, cards[0].hidden[-1]
    assert cards[1].parameters - cards[0].parameters == d * (width + 1), "logvar's weights and biases, and no more"


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_pair_was_trained_on_the_full_published_set(dataset: str) -> None:
    published = sha256("".join(data.PUBLISHED[dataset].files.values()).encode())
    for name in NAMES:
        if name.startswith(dataset):
            assert checkpoints.verify(checkpoints.find(name)).data_sha256 == published


@pytest.mark.parametrize("name", NAMES)
def test_a_card_tells_the_recon_its_weights_have_on_the_embedded_test_images(name: str) -> None:
    model = explorer.load(name)
    x = data.load_embedded(model.card.dataset).x_test
    # 200 of each class, where the whole test set has more of the ones, which are cheap
    assert recon_of(model, x) == pytest.approx(model.card.test_recon, rel=0.03)


@pytest.mark.parametrize("name", VAES)
def test_a_card_tells_the_kl_that_torch_distributions_finds(name: str) -> None:
    model = explorer.load(name)
    x = data.load_embedded(model.card.dataset).x_test
    assert kl_of(model, x) == pytest.approx(model.card.test_kl, rel=0.02)


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("mnist")])
def test_on_all_test_images_of_mnist_the_card_is_exact(name: str) -> None:
    model, x = explorer.load(name), atlas_of(name).images["images"]
    assert len(x) == model.card.n_test
    assert recon_of(model, x) == pytest.approx(model.card.test_recon, rel=1e-5)
    if name in VAES:
        assert kl_of(model, x) == pytest.approx(model.card.test_kl, rel=1e-5)


@pytest.mark.parametrize("name", VAES)
def test_decoding_a_sampled_code_costs_a_vae_more_than_decoding_its_mean(name: str) -> None:
    card = checkpoints.verify(checkpoints.find(name))
    assert card.test_recon < card.test_recon_sampled < card.test_recon + card.test_kl


@pytest.mark.parametrize("name", NAMES)
def test_the_atlas_is_that_of_the_model_beside_it(name: str) -> None:
    model, made = explorer.load(name), atlas_of(name)
    unit = made.images["images"].astype(np.float32) / 255
    np.testing.assert_allclose(made.codes["codes"], model.encode(unit), rtol=1e-4, atol=1e-4)
    decoder = model.module.decoder.state_dict()
    assert decoder.keys() == made.decoder.keys()
    for key, value in made.decoder.items():
        assert value.dtype == np.float16
        np.testing.assert_array_equal(value.astype(np.float32), decoder[key].numpy(), err_msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_an_atlas_shows_at_least_4000_images_most_active_dimension_first(name: str) -> None:
    codes = atlas_of(name).codes["codes"]
    assert len(codes) >= 4000
    activity = codes.var(axis=0)
    # numbered by all 10,000 test images: those shown may swap two that are about as active
    assert (activity[1:] <= activity[:-1] * 1.05).all()


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_atlases_of_a_data_set_show_its_held_out_images_with_their_labels(dataset: str) -> None:
    shown = [atlas_of(name) for name in NAMES if name.startswith(f"{dataset}-")]
    assert len(shown) == 4
    images, labels = shown[0].images["images"], shown[0].codes["labels"]
    for other in shown[1:]:
        np.testing.assert_array_equal(other.images["images"], images)
        np.testing.assert_array_equal(other.codes["labels"], labels)
    label_of = {x.tobytes(): y for x, y in zip(images, labels, strict=True)}
    embedded = data.load_embedded(dataset)
    known = [(label_of[x.tobytes()], y) for x, y in zip(embedded.x_test, embedded.y_test) if x.tobytes() in label_of]
    assert len(known) >= 1900
    assert all(found == expected for found, expected in known)
    trained_on = {x.tobytes() for x in embedded.x_train}
    assert not trained_on & label_of.keys()


def test_all_that_ships_is_small_enough() -> None:
    assert sum(path.stat().st_size for path in checkpoints.PRETRAINED.rglob("*") if path.is_file()) <= 58_000_000


@pytest.mark.parametrize("dataset", DATASETS)
def test_the_first_view_is_small_enough(dataset: str) -> None:
    pair = [atlas.read_manifest(checkpoints.find(f"{dataset}-{model}-2"))["parts"] for model in ("ae", "vae")]
    wanted = {part["sha256"]: part["bytes"] for parts in pair for part in parts.values()}
    assert sum(wanted.values()) <= 6_000_000


# ---- what was measured


def board_of(name: str) -> scoreboard.Scoreboard:
    return scoreboard.load(checkpoints.find(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_figures_are_of_these_weights_and_this_classifier(name: str) -> None:
    board, card = board_of(name), checkpoints.read_card(checkpoints.find(name))
    assert len(board.figures) == scoreboard.COUNT
    assert board.about["weights_sha256"] == card.sha256
    assert board.about["classifier_sha256"] == classifier.load(card.dataset).record.sha256
    for one in board.figures:
        assert one.model == name
        assert one.value is not None or one.measure == "kl"
        assert (scoreboard.pictures(checkpoints.find(name), one) is None) == (
            one.measure in ("mmd", "energy", "kl", "active_units")
        )


@pytest.mark.parametrize("dataset", DATASETS)
def test_at_16_dimensions_the_prior_is_for_the_vae_and_a_mixture_makes_the_ae_its_equal(dataset: str) -> None:
    ae, vae = (board_of(f"{dataset}-{kind}-16") for kind in ("ae", "vae"))
    from_prior = [board.get("frechet", "prior") for board in (ae, vae)]
    mixture = ae.get("frechet", "mixture")
    assert mixture
    distances = [one.value for one in from_prior if one]
    least = {"mnist": 5.0, "fashion-mnist": 3.0}[dataset]
    assert distances[0] >= least * distances[1]  # type: ignore[operator]
    assert mixture.value <= 1.3 * distances[1]  # type: ignore[operator]


@pytest.mark.parametrize(("ae", "vae"), PAIRS)
def test_the_vae_is_near_its_prior_and_pays_with_its_copies(ae: str, vae: str) -> None:
    boards = board_of(ae), board_of(vae)
    for measure in ("mmd", "energy"):
        one, other = (board.get(measure, "prior") for board in boards)
        assert one
        assert other
        assert one.value > 5 * other.value  # type: ignore[operator]
    copies, dearer = (board.get("recon") for board in boards)
    assert copies
    assert dearer
    assert dearer.value > copies.value  # type: ignore[operator]


def test_the_readmes_table_is_that_of_the_figures() -> None:
    from make_tables import renewed

    readme = (ROOT / "README.md").read_text()
    assert readme == renewed(readme)
    assert "| mnist-vae-16 |" in readme
