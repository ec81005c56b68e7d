"""What is said of a data set that does not ship with the project: its title, classes and features, as JSON holds them.

It travels with the models that were trained on the set, and comes back from anywhere: nothing of it is believed.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from explorer.data import About, Feature

KEY = "data"  # in an atlas's manifest
MAX_CLASSES, MAX_FEATURES, MAX_TEXT = 256, 4096, 200
MAX_BOUND = 1e300  # of a feature: the range between two such bounds is a number still
# Most format characters join letters and emoji; these would turn the text around a name.
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
BLANK = " \u00a0\u115f\u1160\u2800\u3164\uffa0\u200b\u200c\u200d\ufeff"  # spaces and fillers: nothing to see
UNSHOWN = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, ends of lines and paragraphs


def about_of(manifest: dict[str, Any]) -> About | None:
    """What a sound manifest says of its data set; None for one that ships with the project."""
    found = manifest.get(KEY)
    if found is None:
        return None
    features = tuple(Feature(one["name"], float(one["low"]), float(one["high"])) for one in found["features"])
    return About(found["title"], tuple(found["classes"]), features)


def is_about(value: Any) -> bool:
    """Whether a value from JSON is an About as plain values, of bounded size and fit to be shown."""
    if not isinstance(value, dict) or set(value) != {"title", "classes", "features"}:
        return False
    title, classes, features = value["title"], value["classes"], value["features"]
    return (
        is_shown(title)
        and isinstance(classes, list)
        and 1 <= len(classes) <= MAX_CLASSES
        and all(map(is_shown, classes))
        and isinstance(features, list)
        and len(features) <= MAX_FEATURES
        and all(map(is_feature, features))
    )


def is_feature(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"name", "low", "high"} or not is_shown(value["name"]):
        return False
    bounds = (value["low"], value["high"])
    return all(type(n) in (int, float) and abs(n) <= MAX_BOUND for n in bounds) and bounds[0] <= bounds[1]


def is_shown(text: Any) -> bool:
    """Whether a screen can show it: short, on one line, and nothing in it turns the text around it."""
    if not isinstance(text, str) or not 1 <= len(text) <= MAX_TEXT or TURNING.search(text) or not text.strip(BLANK):
        return False
    return not any(unicodedata.category(character) in UNSHOWN for character in text)
