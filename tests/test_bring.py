"""Data sets that people bring: each format against what was written into it, and what was repaired or left out."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import brought as make
import numpy as np
import pytest
from brought import idx, picture, some_pixels, zipped
from PIL import Image

from explorer import bring, own_data
from explorer.bring import limits, names
from explorer.bring.gather import Brought
from explorer.bring.report import FEATURES, NO_LABEL, PIXELS, Choices
from explorer.data import Dataset

SEQUENCE = np.arange(144, dtype=np.uint8).reshape(12, 12)


def items(dataset: Dataset | None) -> dict[bytes, str]:
    """The class of each item, by its bytes."""
    assert dataset is not None
    x = np.concatenate([dataset.x_train, dataset.x_test])
    y = np.concatenate([dataset.y_train, dataset.y_test])
    return {item.tobytes(): dataset.classes[label] for item, label in zip(x, y)}


def problems(found: Brought) -> dict[str, tuple[str, ...]]:
    return {problem.what: problem.items for problem in found.report.problems}


def values(dataset: Dataset | None) -> np.ndarray:
    """[N, F]: the rows of a table in the units of its features, sorted."""
    assert dataset is not None
    x = np.concatenate([dataset.x_train, dataset.x_test])[:, 0, 0] / 255
    low, high = (np.array([getattr(one, key) for one in dataset.features]) for key in ("low", "high"))
    return np.array(sorted((low + x * (high - low)).tolist()))


# ---- images


def test_a_zip_of_images_is_read_pixel_by_pixel_with_its_folders_as_classes(tmp_path: Path) -> None:
    pixels = {f"top/{kind}/{i}.png": some_pixels(i) for kind, i in (("cat", 1), ("dog", 2), ("dog", 3))}
    files = {name: picture(value) for name, value in pixels.items()}
    extra = {"__MACOSX/top/cat/._1.png": b"x", "top/.hidden.png": b"x", "top/cat/Thumbs.db": b"x"}
    found = bring.read([zipped(tmp_path / "pets.zip", {**files, **extra})])
    assert items(found.dataset) == {value.tobytes(): name.split("/")[1] for name, value in pixels.items()}
    assert [(one.name, one.count) for one in found.report.classes] == [("cat", 1), ("dog", 2)]
    assert found.report.problems == ()
    assert found.report.title == "pets"


def test_a_folder_of_images_is_read_like_the_zip_of_it(tmp_path: Path) -> None:
    for kind in ("cat", "dog"):
        for i in range(3):
            (tmp_path / "pets" / kind).mkdir(parents=True, exist_ok=True)
            (tmp_path / "pets" / kind / f"{i}.png").write_bytes(picture(some_pixels(i + 10 * len(kind))))
    (tmp_path / "pets" / "way-out").symlink_to("/")
    names_in_zip = {str(p.relative_to(tmp_path)): p.read_bytes() for p in tmp_path.rglob("*.png")}
    found, zipped_found = (bring.read([path]) for path in (tmp_path / "pets", zipped(tmp_path / "z.zip", names_in_zip)))
    assert found.dataset
    assert zipped_found.dataset
    assert found.dataset.sha256 == zipped_found.dataset.sha256
    assert problems(found) == {"It is a link, not a file.": ("way-out",)}


def test_images_of_all_kinds_are_repaired_and_each_repair_is_named(tmp_path: Path) -> None:
    wide = SEQUENCE.astype(np.uint16) * 257
    palette = Image.fromarray(SEQUENCE).convert("P")
    palette.save(tmp_path / "palette.png")
    clear = np.dstack([SEQUENCE, np.where(SEQUENCE < 72, 0, 255).astype(np.uint8)])
    moving = [Image.fromarray(np.full((12, 12), value, np.uint8)) for value in (10, 200)]
    moving[0].save(tmp_path / "moving.gif", save_all=True, append_images=moving[1:])
    exif = Image.Exif()
    exif[0x0112] = 3
    files = {
        "a/wide.png": picture(wide),
        "a/palette.png": (tmp_path / "palette.png").read_bytes(),
        "a/clear.png": picture(clear),
        "a/moving.gif": (tmp_path / "moving.gif").read_bytes(),
        "a/upside-down.png": picture(SEQUENCE, exif=exif),
        "a/lies.jpg": picture(SEQUENCE[::-1].copy()),
    }
    found = bring.read([zipped(tmp_path / "z.zip", files)])
    assert {*items(found.dataset)} == {
        SEQUENCE.tobytes(),
        np.where(SEQUENCE < 72, 255, SEQUENCE).astype(np.uint8).tobytes(),
        np.full((12, 12), 10, np.uint8).tobytes(),
        SEQUENCE[::-1, ::-1].tobytes(),
        SEQUENCE[::-1].tobytes(),
    }
    assert problems(found) == {
        "It has more than 8 bits a pixel; they were scaled to 8.": ("a/wide.png",),
        "Parts of it are transparent; they were laid on white.": ("a/clear.png",),
        "It moves; its first picture was taken.": ("a/moving.gif",),
        "It was turned upright, as its EXIF data asks.": ("a/upside-down.png",),
        "Its name says another format than it has; it was read as what it is.": ("a/lies.jpg",),
    }
    assert "All images are grey, though some are saved as colour: they were read as grey." in found.report.notes


def test_the_colours_of_print_become_red_green_and_blue(tmp_path: Path) -> None:
    ink = np.zeros((8, 8, 4), np.uint8)
    ink[..., 0] = 255  # cyan alone is green and blue
    (tmp_path / "print.tif").write_bytes(b"")
    Image.fromarray(ink, "CMYK").save(tmp_path / "print.tif")
    files = {"a/print.tif": (tmp_path / "print.tif").read_bytes(), "a/grey.png": picture(some_pixels(0, (8, 8)))}
    found = bring.read([zipped(tmp_path / "z.zip", files)])
    cyan = np.zeros((3, 8, 8), np.uint8)
    cyan[1:] = 255
    grey = np.broadcast_to(some_pixels(0, (8, 8)), (3, 8, 8))
    assert {*items(found.dataset)} == {cyan.tobytes(), grey.tobytes()}
    assert "Some images are grey and some in colour: all were read as colour." in found.report.notes


def test_large_and_mixed_images_are_scaled_and_it_is_said(tmp_path: Path) -> None:
    flat = {f"a/{i}.png": picture(np.full((150, 300), 20 * i, np.uint8)) for i in range(4)}
    files = {**flat, "a/tall.png": picture(np.full((90, 30), 255, np.uint8))}
    found = bring.read([zipped(tmp_path / "z.zip", files)])
    assert found.report.shape == (1, 32, 64)
    assert {item[0] for item in items(found.dataset)} == {0, 20, 40, 60, 255}
    assert all(len({*item}) == 1 for item in items(found.dataset))
    assert any("5 of 5 images had another size than 64×32 and were scaled" in note for note in found.report.notes)


def test_what_is_no_image_is_refused_by_its_name(tmp_path: Path) -> None:
    whole = picture(some_pixels(5, (60, 60)))
    huge = b"P5\n50000 50000\n255\n"
    files = {
        "a/good.png": picture(SEQUENCE),
        "a/good too.png": picture(SEQUENCE.T.copy()),
        "a/cut.png": whole[: len(whole) // 2],
        "a/drawing.svg": b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>',
        "a/drawing.png": b"<?xml version='1.0'?><svg onload='alert(1)'/>",
        "a/notes.txt": b"hello",
        "a/empty.png": b"",
        "a/bomb.pgm": huge,
        "../../climbing.png": picture(SEQUENCE),
        "/etc/absolute.png": picture(SEQUENCE),
        "C:\\drive.png": picture(SEQUENCE),
    }
    path = zipped(tmp_path / "z.zip", files)
    with zipfile.ZipFile(path, "a") as archive:
        make.link(archive, "a/link.png", "/etc/passwd")
    found = bring.read([path])
    assert {*items(found.dataset)} == {SEQUENCE.tobytes(), SEQUENCE.T.tobytes()}
    assert problems(found) == {
        "Its name leads out of the zip.": ("../../climbing.png", "/etc/absolute.png", "C:/drive.png"),
        "It is a link, not a file.": ("a/link.png",),
        "SVG is a drawing, not pixels: save it as PNG.": ("a/drawing.png", "a/drawing.svg"),
        "It is no image that can be read here: PNG, JPEG, WebP, GIF, BMP, PNM or TIFF can.": (
            "a/empty.png",
            "a/notes.txt",
        ),
        "It has more than 40 million pixels.": ("a/bomb.pgm",),
        "It is broken or cut off.": ("a/cut.png",),
    }
    assert {*tmp_path.iterdir()} == {path}


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {f"a/{i}.png": bytes(40_000) for i in range(30)})
    said = (40_000_000).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace((40_000).to_bytes(4, "little"), said))
    with pytest.raises(ValueError, match="Unpacked, the zip would be 1,200 MB, at most 1,000 can be read"):
        bring.read([path])


def test_one_entry_that_is_a_bomb_does_not_spoil_the_others(tmp_path: Path) -> None:
    files = {"a/bomb.png": bytes(19_000_000), "a/1.png": picture(SEQUENCE), "a/2.png": picture(SEQUENCE.T.copy())}
    found = bring.read([zipped(tmp_path / "z.zip", files)])
    assert problems(found) == {"It would unpack to more than 200 times its size.": ("a/bomb.png",)}
    assert found.report.n_train + found.report.n_test == 2


def test_an_entry_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {f"a/{i}.png": picture(some_pixels(i)) for i in range(3)})
    content = path.read_bytes()
    place = content.index(b"PK\1\2") + 24
    path.write_bytes(content[:place] + (10).to_bytes(4, "little") + content[place + 4 :])
    assert problems(bring.read([path])) == {"It is broken or cut off.": ("a/0.png",)}


def test_an_encrypted_entry_is_refused_with_the_way_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {f"a/{i}.png": picture(some_pixels(i)) for i in range(3)})
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\1\2") + 8] |= 1
    path.write_bytes(content)
    assert problems(bring.read([path])) == {"It is encrypted: make the zip without a password.": ("a/0.png",)}


def test_the_commonest_reason_is_told_when_nothing_is_left(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {f"{i}.svg": b"<svg/>" for i in range(3)})
    with pytest.raises(ValueError, match=r"no image in it that can be read \(0.svg: SVG is a drawing, not pixels"):
        bring.read([path])


# ---- classes


def test_class_names_are_shown_as_text_that_cannot_turn_the_page_around(tmp_path: Path) -> None:
    kinds = ["naïve", "nai\u0308ve", "شجرة", "👩\u200d🚀", "evil\u202egnp", "<b>bold", "x" * 200, "x" * 300]
    files = {f"{kind}/{i}-{j}.png": picture(some_pixels(10 * i + j)) for i, kind in enumerate(kinds) for j in range(2)}
    found = bring.read([zipped(tmp_path / "z.zip", files)])
    counts = {one.name: one.count for one in found.report.classes}
    cut = "x" * (limits.MAX_NAME - 1) + "…"
    assert counts.pop(cut) == 2
    assert counts.pop(cut[: limits.MAX_NAME - 4] + " (2)") == 2
    assert counts == {"naïve": 4, "شجرة": 2, "👩\u200d🚀": 2, "evilgnp": 2, "<b>bold": 2}
    assert any("2 classes are written “naïve”" in note for note in found.report.notes)


def test_names_that_are_utf8_without_saying_so_are_read_right(tmp_path: Path) -> None:
    path = zipped(tmp_path / "z.zip", {f"Bäume/{i}.png": picture(some_pixels(i)) for i in range(2)})
    content = bytearray(path.read_bytes())
    for head, place in ((b"PK\1\2", 9), (b"PK\3\4", 7)):  # the second byte of the flags
        start = -1
        while (start := content.find(head, start + 1)) >= 0:
            content[start + place] &= ~0x08
    path.write_bytes(content)
    assert [one.name for one in bring.read([path]).report.classes] == ["Bäume"]


def test_one_class_can_be_trained_on_and_one_item_cannot(tmp_path: Path) -> None:
    files = {f"{i}.png": picture(some_pixels(i)) for i in range(5)}
    found = bring.read([zipped(tmp_path / "five.zip", files)])
    assert (found.report.n_train, found.report.n_test) == (4, 1)
    assert [(one.name, one.count) for one in found.report.classes] == [("all", 5)]
    alone = bring.read([zipped(tmp_path / "one.zip", {"0.png": files["0.png"]})])
    assert alone.dataset is None
    assert alone.report.name == ""
    assert alone.report.missing.startswith("One item is too few to train on")
    assert alone.report.classes[0].examples.startswith("data:image/png;base64,")


def test_too_many_classes_are_refused_with_two_of_them(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,label\n" + "".join(f"{i},{i % 7},k{i}\n" for i in range(101)))
    with pytest.raises(ValueError, match="There are 101 classes, such as k0 and k1; at most 100 can be told apart"):
        bring.read([tmp_path / "t.csv"])


def test_a_fifth_of_each_class_is_held_out_and_the_same_one_each_time(tmp_path: Path) -> None:
    x, y = some_pixels(0, (60, 8, 8)), np.repeat([0, 1, 2], [40, 18, 2])
    np.savez(tmp_path / "d.npz", x=x, y=y)
    first, second = (bring.read([tmp_path / "d.npz"]).dataset for _ in range(2))
    assert first
    assert second
    assert first.sha256 == second.sha256
    assert np.bincount(first.y_test).tolist() == [8, 4, 1]
    assert items(first) == {item.tobytes(): str(label) for item, label in zip(x, y)}


# ---- arrays


@pytest.mark.parametrize(
    "shown",
    [
        lambda x: x / 255,
        lambda x: x.astype(np.float32),
        lambda x: x.astype(np.int64),
        lambda x: x.astype(np.uint16) * 257,
        lambda x: x / 127.5 - 1,
        lambda x: np.asfortranarray(x),
        lambda x: x.transpose(0, 2, 3, 1),
        lambda x: x.reshape(20, -1),
    ],
    ids=["0 to 1", "float 0 to 255", "int", "16 bits", "-1 to 1", "Fortran", "channels last", "rows"],
)
def test_an_npz_gives_the_same_pixels_however_they_are_written(tmp_path: Path, shown) -> None:  # type: ignore[no-untyped-def]
    ramp = np.linspace(0, 255, 20 * 3 * 100).reshape(20, 3, 10, 10).round().astype(np.uint8)
    np.savez(tmp_path / "d.npz", images=shown(ramp), labels=np.arange(20) % 2)
    found = bring.read([tmp_path / "d.npz"])
    assert items(found.dataset) == {item.tobytes(): str(i % 2) for i, item in enumerate(ramp)}


def test_an_npz_in_parts_with_names_of_classes_is_put_together(tmp_path: Path) -> None:
    x = some_pixels(0, (6, 8, 8))
    np.savez_compressed(
        tmp_path / "d.npz",
        train_images=x[:4],
        train_labels=[[0], [1], [0], [1]],
        test_images=x[4:],
        test_labels=[[1], [0]],
        class_names=["leaf", "stem"],
    )
    kinds = ["leaf", "stem", "leaf", "stem", "stem", "leaf"]
    assert items(bring.read([tmp_path / "d.npz"]).dataset) == {a.tobytes(): kind for a, kind in zip(x, kinds)}


def test_items_that_hold_no_numbers_are_left_out_with_their_labels(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((9, 8, 8))
    x[3, 2, 2], x[5, 0, 0] = np.nan, np.inf
    np.savez(tmp_path / "d.npz", x=x, y=np.arange(9))
    found = bring.read([tmp_path / "d.npz"])
    assert {*items(found.dataset).values()} == {"0", "1", "2", "4", "6", "7", "8"}
    assert problems(found) == {"It has values that are no finite numbers.": ("item 3", "item 5")}


def test_an_npz_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):  # type: ignore[no-untyped-def]
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "d.npz", images=np.array([Evil()] * 3, dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds Python objects, which could run code"):
        bring.read([tmp_path / "d.npz"])
    assert not (tmp_path / "ran").exists()


def test_an_npz_whose_head_lies_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", some_pixels(0, (4, 8, 8)))
    lying = (tmp_path / "x.npy").read_bytes().replace(b"(4, 8, 8)", b"(9, 8, 8)")
    with pytest.raises(ValueError, match="head says another size than it has"):
        bring.read([zipped(tmp_path / "d.npz", {"x.npy": lying})])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": np.zeros((4, 8, 8)), "y": np.zeros(3)}, "x has 4 items, y has 3 labels"),
        ({"x": np.zeros((4, 8, 8)), "y": np.full(4, 0.5)}, "y holds fractions: labels are whole numbers or names"),
        ({"x": np.zeros((4, 8, 8, 7))}, r"x is 4×8×8×7; images are items × height × width"),
        ({"a": np.zeros(3)}, r"no array of items in the .npz; its arrays: a \(3\)"),
        ({"x": np.zeros((0, 8, 8))}, "x holds 0 items, from 1 to 100,000 can be read"),
        ({"x": np.array([["a", "b"]] * 4)}, "x holds <U1, numbers were expected"),
        ({"x": np.full((4, 8, 8), np.nan)}, "4 of 4 items have values that are no finite numbers"),
        ({"x": np.zeros((4, 5000))}, "A table has 2 to 4,096 columns of numbers, this one has 5,000"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_arrays_that_do_not_fit_are_told_with_what_would(
    tmp_path: Path, arrays: dict[str, np.ndarray], message: str
) -> None:
    np.savez(tmp_path / "d.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        bring.read([tmp_path / "d.npz"])


def test_idx_files_are_read_alone_packed_and_in_a_zip(tmp_path: Path) -> None:
    x, y = some_pixels(0, (10, 9, 8)), np.arange(10, dtype=np.uint8) % 3
    files = {
        "train-images-idx3-ubyte": idx(x[:6]),
        "train-labels-idx1-ubyte.gz": gzip.compress(idx(y[:6])),
        "t10k-images.idx3-ubyte.gz": gzip.compress(idx(x[6:])),
        "t10k-labels.idx1-ubyte": idx(y[6:]),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    chosen = bring.read([tmp_path / name for name in files])
    packed = bring.read([zipped(tmp_path / "z.zip", {f"raw/{name}": content for name, content in files.items()})])
    assert items(chosen.dataset) == {item.tobytes(): str(label) for item, label in zip(x, y)}
    assert chosen.dataset
    assert packed.dataset
    assert chosen.dataset.sha256 == packed.dataset.sha256


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            idx(some_pixels(0, (3, 8, 8)), shape=(4, 8, 8)),
            "says it holds 4×8×8 values, that is 272 bytes, but it has 208",
        ),
        (idx(some_pixels(0, (3, 8, 8)), shape=(2**32 - 1,) * 3), "says it holds 4294967295×"),
        (idx(some_pixels(0, (3, 8, 8)))[:10], "is cut off: it ends within its head"),
        (idx(np.arange(4, dtype=np.uint8)), "There are labels but no images among the IDX files"),
        (gzip.compress(idx(some_pixels(0, (3, 8, 8))))[:-20], "is cut off: get it again"),
        (b"\x1f\x8bnonsense", "is broken: no gzip file can be read from it"),
    ],
    ids=["longer", "gigantic", "no head", "labels only", "cut gzip", "no gzip"],
)
def test_an_idx_file_that_lies_is_told_by_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "train-images").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        bring.read([tmp_path / "train-images"])


def test_a_gzip_bomb_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.bring.idx.MAX_UNPACKED_BYTES", 1_000_000)
    (tmp_path / "images.gz").write_bytes(gzip.compress(bytes(2_000_000)))
    with pytest.raises(ValueError, match=r"Unpacked, images.gz has more than 1 MB, the most allowed"):
        bring.read([tmp_path / "images.gz"])


# ---- tables


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_comes_back_within_a_step_of_256(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [(5.1, -3, "Größe"), (4.9, 1e3, "klein"), (7, 12.5, "Größe"), (6.2, 0, "klein")]
    lines = [("länge", "Gewicht", "Label"), *rows]
    text = "\r\n".join(separator.join(map(str, line)) for line in lines)
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = bring.read([tmp_path / "t.csv"])
    expected = np.array(sorted(row[:2] for row in rows))
    np.testing.assert_allclose(values(found.dataset), expected, atol=1003 / 255 / 2)
    assert [one.name for one in found.report.classes] == ["Größe", "klein"]
    assert found.report.features == (("länge", 4.9, 7.0), ("Gewicht", -3.0, 1000.0))
    assert found.report.label == "Label"
    assert ("Latin-1" in " ".join(found.report.notes)) == (encoding == "latin-1")


def test_decimal_commas_are_numbers(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a;b\n1,5;2\n2,5;4,25\n0,5;3\n")
    found = bring.read([tmp_path / "t.csv"])
    assert found.report.features == (("a", 0.5, 2.5), ("b", 2.0, 4.25))


def test_rows_that_cannot_be_used_are_named_by_their_line(tmp_path: Path) -> None:
    good = [f"{i},{i * i},k{i % 2}" for i in range(20)]
    bad = {
        4: "1,2",
        7: "1,2,3,4",
        9: "1,nan,k0",
        10: ",5,k1",
        12: "hello,5,k1",
        13: '=HYPERLINK("x"),5,k1',
        14: "inf,1,k0",
    }
    lines = ["a,b,class"]
    while good:
        lines.append(bad.pop(len(lines) + 1, None) or good.pop(0))
    (tmp_path / "t.csv").write_text("\n".join(lines))
    found = bring.read([tmp_path / "t.csv"])
    assert found.report.n_train + found.report.n_test == 20
    assert problems(found) == {
        "It has more or fewer fields than the others.": ("line 4", "line 7"),
        "It has an empty field, or a value that is no finite number.": ("line 9", "line 10", "line 14"),
        "It has text where a number was expected.": ("line 12", "line 13"),
    }


def test_text_columns_are_left_out_by_name_and_a_label_can_be_chosen(tmp_path: Path) -> None:
    rows = "\n".join(f"person {i},{i},{i % 3},{'xyz'[i % 3]},{5 - i}" for i in range(12))
    (tmp_path / "t.csv").write_text(f"who,a,kind,letter,b\n{rows}\n")
    usual, chosen, none = (
        bring.read([tmp_path / "t.csv"], choices=Choices(label=label)) for label in (None, "kind", NO_LABEL)
    )
    assert (usual.report.label, [one.name for one in usual.report.classes]) == ("letter", ["x", "y", "z"])
    assert (chosen.report.label, [one.name for one in chosen.report.classes]) == ("kind", ["0", "1", "2"])
    assert [name for name, _, _ in none.report.features] == ["a", "kind", "b"]
    assert problems(usual) == {"The column holds text, not numbers.": ("column “who”",)}
    assert usual.report.columns == ("who", "a", "kind", "letter", "b")
    with pytest.raises(ValueError, match="There is no column “tea”; there are: who, a, kind, letter, b"):
        bring.read([tmp_path / "t.csv"], choices=Choices(label="tea"))


def test_a_csv_of_pixels_is_images_unless_features_are_chosen(tmp_path: Path) -> None:
    x, y = some_pixels(0, (6, 8, 8)), [3, 1, 3, 1, 3, 1]
    text = "\n".join(",".join(map(str, [label, *item.ravel()])) for label, item in zip(y, x))
    (tmp_path / "t.csv").write_text(text)
    found = bring.read([tmp_path / "t.csv"])
    assert items(found.dataset) == {item.tobytes(): str(label) for item, label in zip(x, y)}
    assert found.report.rows_of_numbers
    table = bring.read([tmp_path / "t.csv"], choices=Choices(meaning=FEATURES))
    assert table.report.shape == (1, 1, 64)
    assert len(table.report.features) == 64
    (tmp_path / "t.csv").write_text("a,b,c\n1,2,3\n4,5,6\n")
    with pytest.raises(ValueError, match="3 numbers are no square image of 8×8 to 64×64 pixels"):
        bring.read([tmp_path / "t.csv"], choices=Choices(meaning=PIXELS))


@pytest.mark.parametrize("planes", [True, False])
def test_the_colours_of_rows_are_told_by_what_is_smoother(tmp_path: Path, planes: bool) -> None:
    across = np.linspace(0, 60, 10)
    x = np.stack([np.tile(across + base, (10, 1)) for base in (0, 90, 190)]).round().astype(np.uint8)
    x = np.stack([x, x[:, ::-1, ::-1]])
    np.savez(tmp_path / "d.npz", x=(x if planes else x.transpose(0, 2, 3, 1)).reshape(2, -1))
    assert {*items(bring.read([tmp_path / "d.npz"]).dataset)} == {item.tobytes() for item in x}


def test_a_column_that_never_changes_is_said_and_kept(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b\n1,7\n2,7\n3,7\n")
    found = bring.read([tmp_path / "t.csv"])
    assert found.report.features[1] == ("b", 7.0, 7.0)
    assert any(note.startswith("Always the same value: b.") for note in found.report.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no rows"),
        (b"a,b\n", "has a header but no rows below it"),
        (b"hello\nworld\n", "has one column only: columns are separated by commas, semicolons or tabs"),
        (b"a,b,c\nx,y,z\nu,v,w\n", "has no column of numbers beside its label"),
        (b"a,b\n1,2\n3,4\n5\n6\n7\n", r"3 of 5 rows cannot be used \(line 4: It has more or fewer fields"),
        (b"a,b\n1,1e308\n2,-1e308\n", "The column “b” has values too far apart to be scaled"),
        (b"a,b,label\n" + b"1,1e308,0\n2,1e308,1\n" * 20, r"A feature must have bounds within 1e\+300 of 0"),
        (b"a" + b",1" * 200_000 + b"\n", "has 200,001 columns, at most 12,388 can be read"),
        (b'a,b\n1,"2' + b"x" * 200_000, "a field has more than 100,000 letters, as where a quote is never closed"),
        (b"a,b\n" + b"1,2\n" * 300 + b'1,"2' + b"x" * 200_000, "Line 302 cannot be read as a row: a field has more"),
        (b"MZ\0\0\1\2", "is none of the files that can be read: a zip or files of images, .npz, IDX, or a CSV"),
    ],
    ids=[
        "empty",
        "header",
        "one column",
        "text",
        "ragged",
        "far apart",
        "far off",
        "wide",
        "open quote",
        "later quote",
        "program",
    ],
)
def test_a_table_that_is_none_is_told_in_a_sentence(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        bring.read([tmp_path / "t.csv"])


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "big.zip").open("wb") as file:
        file.truncate(100_000_001)
    with pytest.raises(ValueError, match="The file has 100 MB, at most 100 can be read"):
        bring.read([tmp_path / "big.zip"])


def test_a_data_set_that_was_brought_can_be_saved_and_loaded(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,y\n1,7,0\n2,6,1\n3,7,0\n")
    dataset = bring.read([tmp_path / "t.csv"]).dataset
    assert dataset
    own_data.save(tmp_path / "kept", dataset)
    assert own_data.load(tmp_path / "kept").name == dataset.name


def test_a_name_keeps_its_letters_and_loses_what_hides_or_turns() -> None:
    assert names.clean(" a\t\u202eb\u0000\u200f c\u00ad ") == "a b c"
    assert names.distinct(["a", "a", "", "\u200b"]) == ["a", "a (2)", "(no name)", "(no name) (2)"]
    assert names.clean("\u3164 \u2800") == ""
