"""Arrows point one way: a room imports rooms below it, and the first screen waits for no heavy library."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
HEAVY = {"torch", "torchvision", "umap", "sklearn", "numba", "scipy", "plotly", "matplotlib", "safetensors"}
LAYERS = [
    {
        "explorer.files",
        "explorer.guard",
        "explorer.logs",
        "explorer.markdown",
        "explorer.policy",
        "explorer.settings",
        "explorer.statistics",
        "explorer.tables",
        "explorer.workers",
    },
    {"explorer.bring.limits", "explorer.sandbox", "explorer.job_files", "explorer.places"},
    {"explorer.request_log"},
    {"explorer.data", "explorer.models", "explorer.modules", "explorer.scoreboard", "explorer.frontier"},
    {"explorer.demo"},
    {"explorer.described", "explorer.bring.names", "explorer.bring.scale"},
    {"explorer.bring.report"},
    {"explorer.checkpoints", "explorer.training", "explorer.own_data"},
    {"explorer.bring.archive", "explorer.bring.process", "explorer.bring.gather"},
    {"explorer.bring.pictures"},
    {"explorer.bring.arrays"},
    {"explorer.bring.idx", "explorer.bring.npz", "explorer.bring.table"},
    {"explorer.bring.reading"},
    {"explorer.bring", "explorer.bring.__main__"},
    {"explorer.latent", "explorer.projection", "explorer.loaded", "explorer.resume", "explorer.classifier"},
    {"explorer.cells"},
    {
        "explorer.atlas",
        "explorer.own_judge",
        "explorer.sketch",
        "explorer.labs",
        "explorer.labs.result",
        "explorer.labs.orders",
    },
    {"explorer.labs.basic", "explorer.labs.hashing", "explorer.labs.projections"},
    {"explorer.labs.denoise", "explorer.labs.anomalies", "explorer.labs.documents"},
    {"explorer.labs.work"},
    {
        "explorer.catalogue",
        "explorer.export",
        "explorer.packing",
        "explorer.remote_node",
        "explorer.worker",
        "explorer.world",
        "explorer.figures",
    },
    {"explorer.foreign.limits"},
    {"explorer.foreign.structure"},
    {"explorer.foreign.network", "explorer.foreign.serving"},
    {"explorer.foreign.live"},
    {"explorer.foreign.bringing"},
    {"explorer.foreign", "explorer.foreign.process", "explorer.foreign.__main__"},
    {"explorer.job"},
    {"explorer.jobs", "explorer.remote_worker", "explorer.measurings", "explorer.onefile", "explorer.regularity"},
    {"explorer.sweep", "explorer.scenes", "explorer.notebook"},
    {"explorer.sweep_ray"},
    {"explorer", "explorer.site"},
    {"explorer.visitors"},
    {"explorer.training_routes", "explorer.labs.show", "explorer.arrivals"},
    {"explorer.lab_routes", "explorer.decode_routes", "explorer.frontend"},
    {"explorer.server", "explorer.stage", "explorer.pages.once"},
    {"explorer.pages.measured", "explorer.pages.trade"},
    {"explorer.pages", "explorer.cli"},
    {"explorer.__main__", "app"},
]
VERSION_ONLY = ("explorer.checkpoints", "explorer")  # library_versions reads explorer.__version__


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {name_of(path): path for path in [ROOT / "app.py", *sorted((ROOT / "explorer").rglob("*.py"))]}


def for_types_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imports(node: ast.AST, *, lazy: bool) -> Iterator[str]:
    """Full names of what is imported; with lazy also inside functions. Imports for types alone do not count."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports name their room in full"
            for alias in child.names:
                full = f"{child.module}.{alias.name}"
                yield full if full in MODULES else str(child.module)
        elif not for_types_only(child) and (lazy or not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)):
            yield from imports(child, lazy=lazy)


def imported_by(module: str, *, lazy: bool) -> set[str]:
    return set(imports(ast.parse(MODULES[module].read_text()), lazy=lazy))


def layer(module: str) -> int:
    """The number of a module's layer; a page is in that of pages, unless it is named itself."""
    room = next((room for room in ("explorer.pages", "explorer.stage") if module.startswith(room)), module)
    found = [number for name in (module, room) for number, rooms in enumerate(LAYERS) if name in rooms]
    assert found, f"{module} is in no layer: add it to LAYERS"
    return found[0]


@pytest.mark.parametrize("module", list(MODULES))
def test_a_room_imports_only_rooms_below_it(module: str) -> None:
    for other in imported_by(module, lazy=True) & MODULES.keys():
        if (module, other) != VERSION_ONLY:
            assert layer(other) < layer(module), f"{module} must not import {other}"


@pytest.mark.parametrize("module", list(MODULES))
def test_only_the_app_its_pages_and_the_stage_know_streamlit(module: str) -> None:
    if module == "app" or module.startswith(("explorer.pages", "explorer.stage")):
        return
    known = {name.split(".")[0] for name in imported_by(module, lazy=False)}
    assert "streamlit" not in known


def test_streamlit_is_imported_late_only_to_start_the_app() -> None:
    late = {
        module for module in MODULES if any(name.startswith("streamlit") for name in imported_by(module, lazy=True))
    }
    inner = {
        module for module in late if module != "app" and not module.startswith(("explorer.pages", "explorer.stage"))
    }
    assert inner == {"explorer.cli"}


def test_nothing_the_first_screen_needs_imports_a_heavy_library() -> None:
    waiting = ["app", *(module for module in MODULES if module.startswith("explorer.pages"))]
    needed: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in needed:
            needed.add(module)
            waiting += imported_by(module, lazy=False) & MODULES.keys()
    assert {"explorer.stage", "explorer.server", "explorer.catalogue", "explorer.atlas", "explorer.data"} <= needed
    for module in needed:
        heavy = {name.split(".")[0] for name in imported_by(module, lazy=False)} & HEAVY
        assert not heavy, f"{module} imports {heavy} at its top"


def test_the_walk_sees_imports_in_functions_but_not_those_for_types() -> None:
    source = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import torch\ndef f():\n    import umap\n"
    assert set(imports(ast.parse(source), lazy=False)) == {"typing"}
    assert set(imports(ast.parse(source), lazy=True)) == {"typing", "umap"}
