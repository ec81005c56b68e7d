"""What the page of the labs is given: what was computed before, and what may be asked for here."""

from __future__ import annotations

from typing import Any

from explorer import data
from explorer.catalogue import Catalogue


def for_browser(models: Catalogue) -> dict[str, Any]:
    """shipped: by name, the record of each lab's shipped result and where its arrays are.

    full: by data set, whether the whole of it is here. images: by data set, where the embedded training images are.
    """
    shipped = {
        name: {"record": table.record, "url": f"atlas/{table.part.sha256}"} for name, table in models.labs.items()
    }
    return {
        "shipped": shipped,
        "full": {name: data.has_full(name) for name in data.PUBLISHED},
        "images": {name: f"images/{published.embedded}" for name, published in data.PUBLISHED.items()},
    }
