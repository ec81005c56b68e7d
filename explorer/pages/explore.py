"""Explore: two models, one probe."""

from explorer import catalogue, data
from explorer.stage import stage

titles = {name: (published.title, published.classes) for name, published in data.PUBLISHED.items()}
stage(catalogue.for_browser(catalogue.shipped(), titles))
