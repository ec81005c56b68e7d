"""Latent Explorer as a Streamlit app: `make run`, or `streamlit run app.py`."""

import streamlit as st
from starlette.middleware import Middleware

from explorer import server

app = st.App(
    "explorer/pages/main.py",
    routes=server.routes(st.get_option("server.baseUrlPath")),
    middleware=[Middleware(server.SafeHeaders)],
)
