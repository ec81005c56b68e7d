from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from explorer import catalogue, checkpoints
from tests import pages


@pytest.fixture(autouse=True)
def nothing_cached() -> Iterator[None]:
    catalogue.shipped.cache_clear()
    yield
    catalogue.shipped.cache_clear()


def stage_data(page: AppTest) -> dict[str, Any]:
    """What the page hands to the one stage on it."""
    assert not page.exception
    assert not page.error
    (stage,) = page.get("bidi_component")
    assert stage.proto.component_name == "explorer.stage"
    return json.loads(stage.proto.json)["catalogue"]


def open_page(**query: str) -> AppTest:
    return pages.open_page("main.py", **query)


def test_explore_shows_the_stage_with_all_shipped_models() -> None:
    shown = stage_data(open_page())
    assert [model["name"] for model in shown["models"][:4]] == [
        "mnist-ae-2",
        "mnist-vae-2",
        "mnist-ae-16",
        "mnist-vae-16",
    ]
    assert len(shown["models"]) == 8
    assert shown["problems"] == []
    assert shown["datasets"].keys() == {model["dataset"] for model in shown["models"]}


def test_yours_is_given_models_that_the_browser_can_encode_with() -> None:
    page = pages.open_page("yours.py")
    assert all(model["encoder"] and "weights" in model["parts"] for model in stage_data(page)["models"])


def test_a_second_run_changes_nothing_the_stage_was_given() -> None:
    page = open_page()
    assert stage_data(page.run()) == stage_data(page)


@pytest.mark.parametrize("query", [{"data": "cifar"}, {"left": "../../etc/passwd", "d": "NaN"}, {"view": "\0" * 50}])
def test_an_address_that_names_nothing_still_opens_the_stage(query: dict[str, str]) -> None:
    assert len(stage_data(open_page(**query))["models"]) == 8


def test_a_damaged_model_is_told_and_the_other_is_shown(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (library / "digits-ae-3" / checkpoints.WEIGHTS).write_bytes(b"damaged")
    read = catalogue.read
    monkeypatch.setattr(catalogue, "read", lambda: read(library))
    shown = stage_data(open_page())
    assert [model["name"] for model in shown["models"]] == ["digits-vae-3"]
    assert shown["problems"][0].startswith("digits-ae-3 is left out.")


def test_without_any_model_the_page_opens_and_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = catalogue.read
    monkeypatch.setattr(catalogue, "read", lambda: read(tmp_path))
    shown = stage_data(open_page())
    assert shown["models"] == []
    assert "make pretrained" in shown["problems"][0]
