"""The script that Streamlit runs for every visitor: the list of pages."""

from pathlib import Path

import streamlit as st

HERE = Path(__file__).parent

st.set_page_config(page_title="Latent Explorer", page_icon="🌗", layout="wide")
st.html(HERE / "main.css")
pages = [
    st.Page(HERE / "explore.py", title="Explore", default=True),
    st.Page(HERE / "train.py", title="Train", url_path="train"),
    st.Page(HERE / "measure.py", title="Measure", url_path="measure"),
    st.Page(HERE / "learn.py", title="Learn", url_path="learn"),
    st.Page(HERE / "labs.py", title="Labs", url_path="labs"),
    st.Page(HERE / "yours.py", title="Yours", url_path="yours"),
]
st.navigation(pages, position="hidden" if st.context.is_embedded else "top").run()
