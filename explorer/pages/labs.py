"""Labs: five classic uses of autoencoders, on real data."""

import streamlit as st

from explorer import catalogue, data, demo, jobs
from explorer.labs import show
from explorer.stage import labs

jobs.here().warm()
models = catalogue.shipped()
if demo.mode():
    st.info(demo.sentence())
labs(show.for_browser(models), catalogue.for_browser(models, data.titles()))
