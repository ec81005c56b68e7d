"""Explore: two models, one probe."""

import streamlit as st

from explorer import catalogue, data
from explorer.stage import stage


@st.cache_resource
def shipped() -> dict[str, object]:
    """The shipped models for the stage, read once a process."""
    titles = {name: (published.title, published.classes) for name, published in data.PUBLISHED.items()}
    return catalogue.for_browser(catalogue.read(), titles)


stage(shipped())
