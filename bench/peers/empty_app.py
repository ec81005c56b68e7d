"""The least that a Streamlit app can be: st.App with a page of three widgets, and nothing beside it."""

import streamlit as st

app = st.App("empty_page.py")
