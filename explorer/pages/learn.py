"""Learn: ten scenes, each one idea, over the real stage."""

import streamlit as st

from explorer import catalogue, data, scenes, visitors
from explorer.stage import learn

own = visitors.shelf().of(visitors.visitor_of(st.context.cookies))
models = catalogue.shipped()
learn(scenes.for_browser(models), catalogue.for_browser(models, data.titles(), own=own))
