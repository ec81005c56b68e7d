"""Yours: draw or bring an image; both models answer in the browser."""

from explorer import catalogue, data
from explorer.stage import yours

yours(catalogue.for_browser(catalogue.shipped(), data.titles()))
