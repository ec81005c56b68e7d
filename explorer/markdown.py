"""Text from outside as Markdown that shows it as it is: names of files, models and classes are anybody's."""

from __future__ import annotations

import re

MARKUP = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>~:$&])")
# Streamlit turns some texts into links, icons and arrows once the marks are read, so that no backslash keeps them.
TURNED = re.compile(r"(?<=:)(?=[\w+/-])|(?<=www)(?=\.)|(?=@)|(?<=[<>~-])(?=[>=-])", re.IGNORECASE)
JOINER = "\N{WORD JOINER}"  # is not seen and breaks no line


def plain(text: str) -> str:
    """text as Markdown for one line that shows it as it is: no link, picture, icon, colour or formula comes of it."""
    return MARKUP.sub(r"\\\1", TURNED.sub(JOINER, " ".join(text.split())))
