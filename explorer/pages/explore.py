"""Explore: two models, one probe."""

import streamlit as st

from explorer import catalogue, data, visitors
from explorer.stage import stage

own = visitors.shelf().of(visitors.visitor_of(st.context.cookies))
stage(catalogue.for_browser(catalogue.shipped(), data.titles(), own=own))
