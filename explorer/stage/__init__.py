"""The stage: two latent maps, one probe, live in the browser. This is its Python face; the rest are ES modules."""

from __future__ import annotations

from typing import Any

import streamlit as st

from explorer import modules

_mount = st.components.v2.component(
    "explorer.stage",
    html='<div class="stage" data-role="stage">\n</div>',
    css="stage.css",
    js="index.js",
)


def stage(catalogue: dict[str, Any]) -> None:
    """Show the stage with the models of catalogue (see explorer.catalogue.for_browser).

    Switches, probe and walk live in the page's address; nothing that the pointer does reaches Python.
    """
    _mount(data={"catalogue": catalogue, "modules": modules.address()}, key="stage")


def learn(lessons: dict[str, Any], catalogue: dict[str, Any]) -> None:
    """Show the scenes of Learn (see explorer.scenes.for_browser). Which one, and the answers, are in the address."""
    _mount(data={"lessons": lessons, "catalogue": catalogue, "modules": modules.address()}, key="learn")


def yours(catalogue: dict[str, Any]) -> None:
    """Show a pad and a place for pictures, and what the models of catalogue make of them, all in the browser."""
    _mount(data={"yours": True, "catalogue": catalogue, "modules": modules.address()}, key="yours")


def live(job_id: str) -> None:
    """Show a training as it happens; nothing of one that the server does not know. No rerun is needed for it."""
    _mount(data={"training": {"id": job_id}, "modules": modules.address()}, key="live")


def report(record: dict[str, Any]) -> None:
    """Show what came of reading a data set (see explorer.bring.report.Report.record): classes, features, problems."""
    _mount(data={"report": record, "modules": modules.address()}, key="report")


def labs(shipped: dict[str, Any], catalogue: dict[str, Any]) -> None:
    """Show the labs (see explorer.labs.show.for_browser). Which one, and its settings, are in the address."""
    _mount(data={"labs": shipped, "catalogue": catalogue, "modules": modules.address()}, key="labs")
