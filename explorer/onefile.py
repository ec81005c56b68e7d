"""The stage with two models as one HTML file that asks nobody for anything: live from a disk or from any static host.

It holds the modules, the styles and the parts of the atlases as they are served by the app. An import map gives each
module's name the address of its text, and the catalogue gives each part the address of its content: data: both.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from explorer import atlas, catalogue, checkpoints, described, modules, policy
from explorer.atlas import MAX_PART_BYTES
from explorer.catalogue import Catalogue, Entry, Part
from explorer.files import read_checked, write_whole

TEMPLATE = Path(__file__).with_name("onefile.html")
ENTRY, NEEDS = "stage.js", "needs.js"
PLACE = re.compile(r"\{\{(\w+)\}\}")
MAX_QUERY = 8000

Titles = dict[str, tuple[str, tuple[str, ...]]]


class NoPair(ValueError):
    """Two models that the stage cannot show side by side. The message says why."""


def one_file(left: Entry, right: Entry, *, models: Catalogue, titles: Titles, query: str = "") -> bytes:
    """The HTML file, UTF-8. left and right may be of one kind, or one model.

    models: where the classifier of their data set is, if it has one. titles: as for catalogue.for_browser. query: the
    view to start with, as the stage writes it into its address.
    Raises NoPair for models of unlike data or dimensions, DamagedFile if a part is not sound.
    """
    shown, parts = contents(left, right, models=models, titles=titles, query=query)
    files = {address: data_address(part) for address, part in parts.items()}
    imports = {name: text_address(text) for name, text in modules.bare(ENTRY, NEEDS).items()}
    code = {
        "styles": (modules.FOLDER / "stage.css").read_text(encoding="utf-8"),
        "imports": in_html({"imports": imports}),
    }
    page = filled(TEMPLATE.read_text(encoding="utf-8"), code)
    values = {
        "policy": policy_of(page),
        "title": html.escape(f"{left.card.name} and {right.card.name}: Latent Explorer"),
        "files": in_html(files),
        "catalogue": in_html(shown),
    }
    return filled(page, values).encode()


def contents(
    left: Entry, right: Entry, *, models: Catalogue, titles: Titles, query: str
) -> tuple[dict[str, Any], dict[str, Part]]:
    """What a stage of two models needs that has no server: its catalogue, and by address the parts that it names.

    The arguments are those of one_file.
    """
    check_pair(left.card, right.card, {*titles, *brought(left, right)})
    check_live(left, right)
    if left.card.name == right.card.name and left != right:
        right = replace(right, card=replace(right.card, name=f"{right.card.name} (right)"))
    entries = tuple(map(seen, (left,) if left == right else (left, right)))
    shown = replace(models, entries=entries, dial=(), problems=())
    judge = models.judges.get(left.card.dataset)
    parts = [part for entry in shown.entries for part in entry.parts.values()]
    start = {"pair": {"left": left.card.name, "right": right.card.name}, "query": without_names(query)}
    addresses = {f"atlas/{part.sha256}": part for part in [*parts, *([judge.part] if judge else [])]}
    return {**catalogue.for_browser(shown, titles), "alone": True, "start": start}, addresses


def seen(entry: Entry) -> Entry:
    """The entry without its encoder, which the stage does not ask for."""
    return replace(entry, parts={name: part for name, part in entry.parts.items() if name != "weights"})


def brought(*entries: Entry) -> set[str]:
    """The data sets among those of the models that do not ship with the project, and that their atlases describe."""
    return {entry.card.dataset for entry in entries if described.about_of(entry.manifest)}


def check_pair(left: checkpoints.Card, right: checkpoints.Card, known: Collection[str]) -> None:
    """Raise NoPair unless both are of one data set of these names and have images and codes of one size."""
    for card in (left, right):
        if card.dataset not in known:
            raise NoPair(f"{card.name} is of {card.dataset!r:.60}: a model of {', '.join(known)} was expected")
    for what, one, other in (
        ("data set", left.dataset, right.dataset),
        ("image shape", left.image_shape, right.image_shape),
        ("number of latent dimensions", left.latent_dim, right.latent_dim),
    ):
        if one != other:
            raise NoPair(f"Both models must have one {what}, but {left.name} has {one} and {right.name} has {other}")


def check_names(names: Sequence[str], titles: Titles) -> list[checkpoints.Card]:
    """The cards of two models, by name or folder. Raises as check_pair does, before find draws maps for a minute."""
    folders = [checkpoints.find(name) for name in names]
    left, right = (checkpoints.read_card(folder) for folder in folders)
    drawn = [catalogue.read_entry(folder) for folder in folders if (folder / atlas.MANIFEST).exists()]
    check_pair(left, right, {*titles, *brought(*drawn)})
    return [left, right]


def check_live(*entries: Entry) -> None:
    """Raise NoPair for a model whose decoder cannot run in a browser."""
    for entry in entries:
        if atlas.is_served(entry.manifest):
            raise NoPair(
                f"{entry.card.name} is decoded on the server, so a file could not show it: choose another model"
            )


def policy_of(page: str, *, source: str = "data:", styles: Sequence[str] = ()) -> str:
    """What the page may load, as a content security policy: nothing from outside.

    source: where its modules and parts are; styles: where its styles are, beside those in it. The scripts and styles in
    it are named by their hashes. data: is allowed for scripts in a file since a module in an import map cannot be named
    by its hash in all browsers, and no text of the catalogue ever becomes an element.
    """
    hashes = policy.inline(page)
    rules = {
        "default-src": ["'none'"],
        "script-src": [*hashes["script"], source],
        "style-src": [*hashes["style"], *styles],
        "connect-src": [source],
        "img-src": ["data:", "blob:"],
        "base-uri": ["'none'"],
        "form-action": ["'none'"],
    }
    return policy.text(rules)


def filled(template: str, values: dict[str, str]) -> str:
    """The template with each known {{place}} replaced; what a value holds is not looked at again."""
    return PLACE.sub(lambda place: values.get(place[1], place[0]), template)


def in_html(value: Any) -> str:
    """JSON that may stand in a script element: no tag can begin or end in it."""
    return json.dumps(value).replace("<", "\\u003c")


def text_address(text: str) -> str:
    return f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode()}"


def data_address(part: Part) -> str:
    kind, content = content_of(part)
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def content_of(part: Part) -> tuple[str, bytes]:
    """A part's content as it lies on the disk, and its type, which says whether it is packed."""
    content = read_checked(part.path, expected_sha256=part.sha256, max_bytes=MAX_PART_BYTES)
    return "application/gzip" if part.packed else "application/octet-stream", content


def without_names(query: str) -> str:
    """The query without the models, which are named apart. One too long for a view is none."""
    if len(query) > MAX_QUERY:
        return ""
    return urlencode([(key, value) for key, value in parse_qsl(query) if key not in ("left", "right")])


def find(name_or_folder: str, *, scratch: Path) -> Entry:
    """The model called so: a shipped one's name, or a folder.

    The atlas of one that was trained without is drawn, into the folder scratch; with UMAP that takes a minute.
    Raises ValueError for a name that is not there and DamagedFile (a ValueError) for unsound files.
    """
    folder = checkpoints.find(name_or_folder)
    if (folder / atlas.MANIFEST).exists():
        return catalogue.read_entry(folder)

    from explorer.loaded import Model

    model = Model.load(folder)
    images, labels = atlas.held_out(model.card.dataset)
    atlas.save(atlas.build(model, images, labels), scratch)
    write_whole(scratch / checkpoints.CARD, (folder / checkpoints.CARD).read_bytes())
    return catalogue.read_shown(scratch)
