"""Latent Explorer as a Streamlit app: `make run`, or `streamlit run app.py`."""

import streamlit as st
from starlette.middleware import Middleware

from explorer import catalogue, request_log, server, visitors

base_path = st.get_option("server.baseUrlPath")
models = catalogue.shipped()
routes = server.routes(base_path, models)
app = st.App(
    "explorer/pages/main.py",
    routes=routes,
    lifespan=server.lifespan,
    middleware=[
        Middleware(request_log.RequestLog, routes=routes, base_path=base_path, visitor_of=visitors.visitor_of),
        Middleware(visitors.Visitors, present=visitors.data_shelf().present),
        Middleware(server.NoUploads, base_path=base_path),
        Middleware(server.PageHeaders, base_path=base_path, models=models),
        Middleware(server.KnownBase, base_path=base_path),
        Middleware(server.PackedFrontend, base_path=base_path),
    ],
)
