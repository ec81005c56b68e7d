"""Latent Explorer as a Streamlit app: `make run`, or `streamlit run app.py`."""

import streamlit as st
from starlette.middleware import Middleware

from explorer import catalogue, server, visitors

base_path = st.get_option("server.baseUrlPath")
models = catalogue.shipped()
app = st.App(
    "explorer/pages/main.py",
    routes=server.routes(base_path, models),
    lifespan=server.lifespan,
    middleware=[
        Middleware(server.PackedFrontend, base_path=base_path),
        Middleware(visitors.Visitors, present=visitors.data_shelf().present),
        Middleware(server.PageHeaders),
        Middleware(server.PageHead, base_path=base_path, models=models),
    ],
)
