"""Latent Explorer as a Streamlit app: `make run`, or `streamlit run app.py`."""

import gc

import streamlit as st
from starlette.middleware import Middleware
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import get_instance

from explorer import catalogue, frontend, guard, request_log, server, visitors


def uploaded() -> dict[str, int]:
    """By session, how many bytes of uploads Streamlit holds."""
    files = get_instance().uploaded_file_mgr.file_storage  # type: ignore[attr-defined]
    return {session: sum(len(file.data) for file in list(own.values())) for session, own in list(files.items())}


def let_go() -> None:
    """Free what those sessions had that can come back no more, uploads above all.

    Streamlit gives them up when others close, and leaves them to the garbage collector, which comes seldom here (see
    runner.postScriptGC in .streamlit/config.toml).
    """
    manager = get_instance()._session_mgr
    stored = manager._session_storage._cache  # type: ignore[attr-defined]
    for _, gone in stored.expire():
        gone.session.shutdown()
    gc.collect()


base_path = st.get_option("server.baseUrlPath")
models = catalogue.shipped()
routes = server.routes(base_path, models)
sessions = guard.Sessions()
app = st.App(
    "explorer/pages/main.py",
    routes=routes,
    lifespan=server.lifespan(tidy=let_go),
    middleware=[
        Middleware(frontend.PageHeaders),
        Middleware(request_log.RequestLog, routes=routes, base_path=base_path, visitor_of=visitors.visitor_of),
        Middleware(guard.OwnPagesOnly),
        Middleware(guard.OwnSessions, sessions=sessions, message=ForwardMsg, visitor_of=visitors.visitor_of),
        Middleware(guard.BoundedUploads, held=uploaded, sessions=sessions),
        Middleware(frontend.PackedFrontend, base_path=base_path),
        Middleware(visitors.Visitors, present=visitors.data_shelf().present),
        Middleware(frontend.NoUploads, base_path=base_path),
        Middleware(frontend.PageHead, base_path=base_path, models=models),
    ],
)
