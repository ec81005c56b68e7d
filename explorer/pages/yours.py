"""Yours: draw or bring an image; both models answer in the browser."""

import streamlit as st

from explorer import catalogue, data, visitors
from explorer.stage import yours

own = visitors.shelf().of(visitors.visitor_of(st.context.cookies))
yours(catalogue.for_browser(catalogue.shipped(), data.titles(), own=own))
