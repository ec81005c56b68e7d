"""Learn: ten scenes, each one idea, over the real stage."""

from typing import Any

import streamlit as st

from explorer import catalogue, data, scenes, visitors
from explorer.stage import learn


@st.cache_resource(show_spinner=False)
def lessons(root: str, _models: catalogue.Catalogue) -> dict[str, Any]:
    """The scenes, whose figures are read once a process, as the models below root are."""
    return scenes.for_browser(_models)


own = visitors.shelf().of(visitors.visitor_of(st.context.cookies))
models = catalogue.shipped()
learn(lessons(str(models.root), models), catalogue.for_browser(models, data.titles(), own=own))
