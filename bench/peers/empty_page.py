"""The three widgets."""

import streamlit as st

st.slider("A number", 0, 10)
st.selectbox("A choice", ["one", "two"])
st.button("A button")
