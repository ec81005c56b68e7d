"""Which reader a file wants, told by its first bytes and never by its name."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from explorer.bring import archive, arrays, idx, npz, pictures, table
from explorer.bring.archive import Entry
from explorer.bring.gather import Brought, Material, gather
from explorer.bring.limits import MAX_ENTRIES, MAX_FILE_BYTES, MAX_PIXELS, MAX_UNPACKED_BYTES
from explorer.bring.names import clean
from explorer.bring.report import Choices, Notes, Tell
from explorer.files import read_bounded

ZIP = (b"PK\3\4", b"PK\5\6")
HEAD_BYTES = 4096
MAX_TOGETHER = 16  # files that may be IDX files or a table; more are pictures
TABLE_ENDINGS = (".csv", ".tsv", ".csv.gz")
NAMELESS_TITLE = "Data of your own"


@dataclass(frozen=True)
class Given:
    """A file or a folder, and the name it had where it came from."""

    path: Path
    name: str


def say_nothing(what: str, done: int, of: int) -> None:
    pass


def read(given: Sequence[Given], *, choices: Choices | None = None, tell: Tell = say_nothing) -> Brought:
    """The data set in what was given. Raises ValueError, in one sentence, for what cannot be one."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    if not given:
        raise ValueError("No file was given: choose a zip of images, an .npz, IDX files or a CSV")
    notes, chosen = Notes(), choices or Choices()
    material = material_of(given, chosen, notes, tell)
    first = clean(given[0].name.rpartition("/")[2])
    title = clean(first.partition(".")[0]) or NAMELESS_TITLE
    source = first if len(given) == 1 else f"{first} and {len(given) - 1} more"
    tell("Making the data set", 0, 0)
    return gather(material, notes, title=title, source=source)


def material_of(given: Sequence[Given], choices: Choices, notes: Notes, tell: Tell) -> Material:
    if given[0].path.is_dir():
        if len(given) > 1:
            raise ValueError(f"{given[0].name} is a folder: give one folder, or files")
        return from_files(folder_entries(given[0].path, notes), choices, notes, tell)
    size = sum(one.path.stat().st_size for one in given)
    if size > MAX_FILE_BYTES:
        raise ValueError(
            f"{'The file has' if len(given) == 1 else 'The files have'} {size / 1e6:,.0f} MB, "
            f"at most {MAX_FILE_BYTES // 1_000_000} can be read: leave some items out"
        )
    if len(given) == 1 and head_of(given[0].path).startswith(ZIP):
        with archive.open_zip(given[0].path) as opened:
            names = [name for info in opened.infolist() if not archive.is_of_a_system(name := archive.name_of(info))]
            if names and all(name.endswith(".npy") for name in names):
                return from_npz(opened, choices, notes)
            return from_files([*archive.entries(opened, notes)], choices, notes, tell)
    return from_files([entry_of(one.path, one.name.rpartition("/")[2]) for one in given], choices, notes, tell)


def head_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def entry_of(path: Path, name: str) -> Entry:
    return Entry(name, path.stat().st_size, lambda: read_bounded(path, max_bytes=MAX_FILE_BYTES))


def folder_entries(root: Path, notes: Notes) -> list[Entry]:
    """The files in a folder and the folders in it; links are noted and not followed."""
    found: list[Entry] = []
    for path in walk(root):
        name = path.relative_to(root).as_posix()
        if archive.is_of_a_system(name):
            continue
        if path.is_symlink():
            notes.left_out("It is a link, not a file.", name)
        elif path.is_file():
            found.append(entry_of(path, name))
        if len(found) > MAX_ENTRIES:
            raise ValueError(f"There are more than {MAX_ENTRIES:,} files in {root}, the most that can be read")
    if sum(entry.size for entry in found) > MAX_UNPACKED_BYTES:
        raise ValueError(f"The files in {root} have more than {MAX_UNPACKED_BYTES // 1_000_000:,} MB in all")
    return found


def walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)
        else:
            yield path


def from_files(entries: Sequence[Entry], choices: Choices, notes: Notes, tell: Tell) -> Material:
    """IDX files or one CSV if that is what they are, else pictures."""
    if not entries:
        raise ValueError(f"There is nothing in it that can be read{notes.because()}")
    if len(entries) <= MAX_TOGETHER:
        contents = [(entry, content_of(entry)) for entry in entries if not is_named_like_picture(entry)]
        packed = [(entry, content) for entry, content in contents if idx.is_idx(content[:4])]
        if packed:
            for entry in entries:
                if entry not in [one for one, _ in packed]:
                    notes.left_out("It is no IDX file, as others here are.", entry.name)
            return from_idx(packed, choices, notes)
        tables = [(entry, content) for entry, content in contents if entry.name.lower().endswith(TABLE_ENDINGS)]
        if len(entries) == 1 and contents and not pictures.is_picture(contents[0][1]):
            tables = contents
        if len(tables) > 1:
            raise ValueError(f"{tables[0][0].name} and {tables[1][0].name} are two tables: choose one of them")
        if tables:
            return from_table(*tables[0], choices, notes, tell)
    in_order = sorted(entries, key=lambda entry: entry.name)  # so that the same images make the same data set
    found = pictures.read(in_order, notes, tell=tell)
    if len({*found.folders}) == 1:
        notes.say("The images do not lie in a folder for each class.")
    elif "" in found.folders:
        notes.say("Some images lie in no folder: they are a class of their own.")
    return Material(found.x, found.folders if any(found.folders) else None)


def is_named_like_picture(entry: Entry) -> bool:
    return entry.name.rpartition(".")[2].lower() in (*pictures.ENDINGS, "svg")


def content_of(entry: Entry) -> bytes:
    """The file's bytes, unpacked if it is a .gz. Raises ValueError, naming it, if it cannot be read."""
    try:
        content = entry.read()
    except archive.Unfit as unfit:
        raise ValueError(f"{clean(entry.name)}: {str(unfit).rstrip('.')}") from unfit
    if content.startswith(ZIP):
        raise ValueError(f"{clean(entry.name)} is a zip or an .npz among other files: choose it alone")
    return idx.unpacked(content, clean(entry.name)) if idx.is_gzip(content) else content


def from_idx(files: Sequence[tuple[Entry, bytes]], choices: Choices, notes: Notes) -> Material:
    raws, labels = idx.pair([idx.parse(content, clean(entry.name)) for entry, content in files])
    if len(raws) > 1:
        notes.say(f"{len(raws)} files of items were put together; a fifth of all is held out anew.")
    texts = None
    if labels is not None:
        texts = npz.as_labels(np.concatenate(labels), "The file of labels")
    return from_arrays(raws, texts, choices, notes)


def from_npz(opened: zipfile.ZipFile, choices: Choices, notes: Notes) -> Material:
    raws, labels, names = npz.pair(npz.arrays(opened, notes), notes)
    if len(raws) > 1:
        notes.say(f"{' and '.join(raw.name for raw in raws)} were put together; a fifth of all is held out anew.")
    texts = npz.labels_of(labels, names, notes) if labels else None
    return from_arrays(raws, texts, choices, notes)


def from_arrays(
    raws: Sequence[arrays.Raw], labels: Sequence[str] | None, choices: Choices, notes: Notes, names: Sequence[str] = ()
) -> Material:
    items = arrays.read(raws, notes, meaning=choices.meaning, names=names)
    if labels is None:
        notes.say("There are no labels: all items are in one class.")
    kept = [label for label, keep in zip(labels, items.kept) if keep] if labels is not None else None
    return Material(items.x, kept, items.features, rows_of_numbers=len(raws[0].shape) == 2)


def from_table(entry: Entry, content: bytes, choices: Choices, notes: Notes, tell: Tell) -> Material:
    found = table.read(content, clean(entry.name), notes, label=choices.label, tell=tell)
    made = from_arrays([found.rows], found.labels, choices, notes, found.names)
    return replace(made, columns=tuple(found.columns), label=found.label)
