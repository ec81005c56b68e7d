from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer import models, settings
from explorer.settings import Settings

SMALL = Settings(dataset="digits", hidden=(8,))
DIGITS = (1, 8, 8)


@given(
    model=st.sampled_from(list(models.MODELS)),
    channels=st.integers(1, 3),
    sides=st.tuples(st.integers(1, 12), st.integers(1, 12)),
    latent_dim=st.integers(1, 9),
    hidden=st.lists(st.integers(1, 40), min_size=1, max_size=6),
)
def test_an_mlp_has_as_many_weights_as_are_counted(
    model: str, channels: int, sides: tuple[int, int], latent_dim: int, hidden: list[int]
) -> None:
    image_shape = (channels, *sides)
    latent_dim = min(latent_dim, channels * sides[0] * sides[1])
    about: dict[str, Any] = {
        "image_shape": image_shape,
        "latent_dim": latent_dim,
        "arch": "mlp",
        "hidden": tuple(hidden),
    }
    built = models.build(model, seed=0, **about)
    assert settings.count_parameters(model, **about) == sum(value.numel() for value in built.parameters())


@given(
    model=st.sampled_from(list(models.MODELS)),
    channels=st.integers(1, 3),
    inner=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    latent_dim=st.integers(1, 4),
    hidden=st.lists(st.integers(1, 12), min_size=1, max_size=4),
)
def test_a_conv_network_has_as_many_weights_as_are_counted(
    model: str, channels: int, inner: tuple[int, int], latent_dim: int, hidden: list[int]
) -> None:
    image_shape = (channels, inner[0] * 2 ** len(hidden), inner[1] * 2 ** len(hidden))
    about: dict[str, Any] = {
        "image_shape": image_shape,
        "latent_dim": latent_dim,
        "arch": "conv",
        "hidden": tuple(hidden),
    }
    built = models.build(model, seed=0, **about)
    assert settings.count_parameters(model, **about) == sum(value.numel() for value in built.parameters())


@pytest.mark.parametrize(
    ("changes", "n", "message"),
    [
        ({"latent_dim": 65}, 10, "latent_dim must be between 1 and 64, got 65"),
        ({"latent_dim": 0}, 10, "latent_dim must be between 1 and 64, got 0"),
        ({"hidden": ()}, 10, "hidden must be 1 to 6 sizes between 1 and 8192, got none"),
        ({"hidden": (8192, 8192)}, 10, "A model may have at most 20,000,000 weights, this one has 135,"),
        ({"arch": "rnn"}, 10, "Unknown architecture: 'rnn'. Must be one of: mlp, conv"),
        ({"arch": "conv", "hidden": (4,) * 4}, 10, "8x8 pixels cannot be halved so often, take fewer hidden sizes"),
        ({"epochs": 0}, 10, "epochs must be at least 1, got 0"),
        ({"epochs": 2001}, 10, "epochs must be at most 2000, got 2001"),
        ({"batch_size": 0}, 10, "batch_size must be at least 1, got 0"),
        ({"beta": float("nan")}, 10, "beta must be a number of at least 0, got nan"),
        ({"lr": 1.5}, 10, "lr must be above 0 and at most 1, got 1.5"),
        ({"seed": -1}, 10, "seed must be at least 0 and below 4294967295, got -1"),
        ({}, 0, "There are no training images"),
    ],
)
def test_settings_one_cannot_train_with_are_told_with_what_would_be_right(
    changes: dict[str, Any], n: int, message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        replace(SMALL, **changes).check(image_shape=DIGITS, n=n)


def test_good_settings_pass() -> None:
    SMALL.check(image_shape=DIGITS, n=1)
    Settings().check(image_shape=(1, 28, 28), n=60_000)
    replace(SMALL, latent_dim=64, epochs=2000, lr=1.0, beta=0.0, seed=2**32 - 2).check(image_shape=DIGITS, n=1)


def test_an_ae_and_a_vae_differ_in_beta_alone() -> None:
    ae, vae = (replace(SMALL, beta=3.0).budget(model) for model in ("ae", "vae"))
    assert (ae.pop("beta"), vae.pop("beta")) == (0.0, 3.0)
    assert ae == vae == {"epochs": 10, "batch_size": 256, "lr": 1e-3, "seed": 0}


def test_settings_come_back_from_json() -> None:
    kept = Settings(dataset="digits", arch="conv", hidden=(3, 5), beta=0.1, lr=1 / 3, seed=9)
    assert Settings.of(json.loads(json.dumps(kept.record()))) == kept


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (None, "These are no settings of a training"),
        ([], "These are no settings of a training"),
        ({}, "hidden"),
        ({"hidden": [8]}, "all of them"),
        ({**SMALL.record(), "hidden": 8}, "These are no settings of a training"),
        ({**SMALL.record(), "hidden": [8.5]}, "whole numbers for hidden"),
        ({**SMALL.record(), "hidden": "88"}, "whole numbers for hidden"),
        ({**SMALL.record(), "epochs": "3"}, "epochs must be a int, got '3'"),
        ({**SMALL.record(), "epochs": True}, "epochs must be a int, got True"),
        ({**SMALL.record(), "beta": float("nan")}, "beta must be a finite number, got nan"),
        ({**SMALL.record(), "seed": 10**400}, "These are no settings of a training"),
        ({**SMALL.record(), "dataset": None}, "dataset must be a str, got None"),
        ({**SMALL.record(), "colour": "red"}, "colour"),
    ],
)
def test_a_record_that_is_no_settings_is_refused(record: Any, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Settings.of(record)


@pytest.mark.parametrize(("text", "sizes"), [("512,256", (512, 256)), ("8", (8,)), (" 4, 8 ", (4, 8)), ("-5", (-5,))])
def test_sizes_are_read_from_text(text: str, sizes: tuple[int, ...]) -> None:
    assert settings.parse_hidden(text) == sizes


@pytest.mark.parametrize("text", ["", ",", "12,x", "1.5", "8,", "٣x", "1," * 1000 + "1"])
def test_text_that_is_no_sizes_is_told_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match=r"^--hidden must be whole numbers with commas, such as 512,256, got") as told:
        settings.parse_hidden(text, name="--hidden")
    assert len(str(told.value)) < 150


def test_a_page_can_ask_without_torch() -> None:
    program = "import sys; from explorer import settings; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
