"""The pages that need no server of ours, as a folder of files that any web host or CDN carries.

It holds the modules and the parts of the atlases as the app serves them, under names that hold their hashes. The pages,
made from site.html, name them by relative addresses, so that the folder works under any path.
"""

from __future__ import annotations

import functools
import gzip
import html
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from explorer import catalogue, modules, onefile, scenes
from explorer.catalogue import Catalogue, Part
from explorer.files import DamagedFile, read_record, sha256, write_whole
from explorer.onefile import Titles

TEMPLATE = Path(__file__).with_name("site.html")
LIST = "site.json"
FORMAT = 1
MAX_LIST_BYTES = 1_000_000
REST = "Train, Measure and Labs need the app: the project’s README says how to start it."


@dataclass(frozen=True)
class Page:
    """A page: its file, its name in the menu, the address of it there, and the class of a module that shows it."""

    file: str
    name: str
    address: str
    shows: str
    entry: str


PAGES = (
    Page("index.html", "Explore", "./", shows="Stage", entry="stage.js"),
    Page("learn.html", "Learn", "learn.html", shows="Learn", entry="learn.js"),
    Page("yours.html", "Yours", "yours.html", shows="Yours", entry="yours.js"),
)


@dataclass(frozen=True)
class Written:
    """What was written: how many files, and bytes in all."""

    files: int
    bytes: int


def write(out: Path, *, models: Catalogue, titles: Titles) -> Written:
    """Write the site of these models to the folder out: it is there whole, or what was there before is.

    titles: as for catalogue.for_browser. Raises ValueError if out is not free for it, and DamagedFile, which is one, if
    a model or a part of one is not sound: what is published lacks nothing.
    """
    out = out.resolve()
    check_place(out)
    if models.problems:
        raise DamagedFile(models.problems[0].rstrip("."))
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.", ignore_cleanup_errors=True) as name:
        new = Path(name) / "new"
        listed: dict[str, dict[str, Any]] = {}
        for path, content in contents(models, titles):
            write_whole(new / path, content)
            listed[path] = {"sha256": sha256(content), "bytes": len(content)}
        record = json.dumps({"format": FORMAT, "what": "a site of Latent Explorer", "files": listed}, indent=1).encode()
        write_whole(new / LIST, record)
        for folder in (new, *(path for path in new.rglob("*") if path.is_dir())):
            folder.chmod(0o755)  # it is for a web server, which is another user
        put_in_place(new, out, aside=Path(name) / "old")
    return Written(len(listed) + 1, sum(one["bytes"] for one in listed.values()) + len(record))


def check_place(out: Path) -> None:
    """Raise ValueError unless out is not there, empty, or an earlier site with nothing else in it."""
    if not out.exists():
        return
    if not out.is_dir():
        raise ValueError(f"--site must be a folder, got the file {out}")
    found = {path.relative_to(out) for path in out.rglob("*")}
    if not found:
        return
    try:
        record = read_record(out / LIST, what="a site's list", known_format=FORMAT, max_bytes=MAX_LIST_BYTES)
        files = {Path(name) for name in (*record["files"], LIST)}
        ours = files.union(*(file.parents for file in files))
    except (DamagedFile, KeyError, TypeError) as error:
        raise ValueError(f"{out} is not empty and no earlier site: choose another folder for --site") from error
    if strange := sorted(found - ours):
        raise ValueError(
            f"{out} holds {strange[0]}, which is not of the site and would be lost: choose another folder for --site"
        )


def put_in_place(new: Path, out: Path, *, aside: Path) -> None:
    """Rename new to out. What was there goes aside, and comes back if that fails."""
    try:
        if out.exists():
            out.rename(aside)
        new.rename(out)
    except BaseException:
        if aside.exists() and not out.exists():
            aside.rename(out)
        raise


def contents(models: Catalogue, titles: Titles) -> Iterator[tuple[str, bytes]]:
    """Each file of the site but its list, by its path. Raises DamagedFile at a part that is not sound.

    Beside each text lies the same gzipped, for servers that would otherwise pack it for every visitor anew.
    """
    for path, content in texts(models, titles):
        yield path, content
        yield f"{path}.gz", gzip.compress(content, mtime=0)
    for name, part in sorted(parts_of(models).items()):
        yield f"atlas/{name}", onefile.content_of(part)[1]


def texts(models: Catalogue, titles: Titles) -> Iterator[tuple[str, bytes]]:
    """The styles, the pages, and the modules that they need."""
    shown = {**catalogue.for_browser(models, titles), "alone": True}
    lessons = {**scenes.for_browser(models), "catalogue": shown}
    styles = (modules.FOLDER / "stage.css").read_bytes()
    styles_path = f"styles/{sha256(styles)[:16]}.css"
    yield styles_path, styles
    names = set()
    for page in PAGES:
        needed = sorted(modules.texts(page.entry, "page.js", "needs.js"))  # those that its script imports
        names.update(needed)
        given = lessons if page.entry == "learn.js" else shown
        yield page.file, page_text(page, given, needed=needed, styles=styles_path).encode()
    for name in sorted(names):
        yield f"{modules.address()}/{name}", (modules.FOLDER / name).read_bytes()


def parts_of(models: Catalogue) -> dict[str, Part]:
    """By hash, what the pages may fetch."""
    atlases = [part for entry in (*models.entries, *models.dial) for part in entry.parts.values()]
    used = {entry.card.dataset for entry in models.entries}
    judges = [judge.part for dataset, judge in models.judges.items() if dataset in used]
    return {part.sha256: part for part in (*atlases, *judges, *models.lessons.values())}


def page_text(page: Page, given: dict[str, Any], *, needed: list[str], styles: str) -> str:
    """A page as HTML. given: what its class is given; needed: the modules that are to come with it at once."""
    preloads = "\n".join(f'<link rel="modulepreload" href="{modules.address()}/{name}">' for name in needed)
    code = {"shows": page.shows, "entry": page.entry, "modules": modules.address()}
    text = onefile.filled(TEMPLATE.read_text(encoding="utf-8"), code)
    values = {
        "policy": onefile.policy_of(text, source="'self'", styles=["'self'"]),
        "title": "Latent Explorer" if page is PAGES[0] else f"{page.name}: Latent Explorer",
        "styles": styles,
        "preloads": preloads,
        "links": "".join(map(functools.partial(link_to, here=page), PAGES)),
        "rest": html.escape(REST),
        "given": onefile.in_html(given),
    }
    return onefile.filled(text, values)


def link_to(page: Page, *, here: Page) -> str:
    current = ' aria-current="page"' if page is here else ""
    return f'<a href="{page.address}"{current}>{page.name}</a>'
