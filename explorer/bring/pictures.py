"""Pictures in files, brought to one size and one kind: looked at once for their sizes, then decoded one by one."""

from __future__ import annotations

import io
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps

from explorer.bring.archive import Entry, Unfit
from explorer.bring.limits import MAX_ITEMS, MAX_PICTURE_BYTES, MAX_PIXELS
from explorer.bring.report import Notes, Tell
from explorer.bring.scale import WIDE, bounded, check_stored, guess_scale

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "PPM", "TIFF")
ENDINGS = {
    "png": "PNG",
    "jpg": "JPEG",
    "jpeg": "JPEG",
    "webp": "WEBP",
    "gif": "GIF",
    "bmp": "BMP",
    "pgm": "PPM",
    "ppm": "PPM",
    "tif": "TIFF",
    "tiff": "TIFF",
}
WITH_EXIF = ("JPEG", "MPO", "TIFF", "WEBP")
ORIENTATION, TURNED = 0x0112, (5, 6, 7, 8)
GREY = ("1", "L", "LA", "La", "I", "F")


@dataclass(frozen=True)
class Head:
    """A picture's size as it will stand, and whether it may have colours."""

    size: tuple[int, int]
    colour: bool


@dataclass(frozen=True)
class Pictures:
    """x: uint8 [N, C, H, W]; folders: the folder that each lay in."""

    x: np.ndarray
    folders: list[str]


def read(entries: Sequence[Entry], notes: Notes, *, tell: Tell) -> Pictures:
    """The pictures among entries, in their order; what is none is noted. Raises ValueError if there is none."""
    heads = look_at_all(entries, notes, tell)
    if len(heads) > MAX_ITEMS:
        raise ValueError(f"There are {len(heads):,} images, at most {MAX_ITEMS:,} can be read: leave some out")
    if not heads:
        raise ValueError(f"There is no image in it that can be read{notes.because()}")
    width, height = one_size([head.size for _, head in heads], notes)
    channels = 3 if any(head.colour for _, head in heads) else 1
    check_stored((len(heads), channels, height, width))
    x = np.empty((len(heads), channels, height, width), np.uint8)
    folders: list[str] = []
    for done, (entry, _) in enumerate(heads):
        try:
            x[len(folders)] = decode(entry, notes, (width, height), channels=channels)
            folders.append(entry.folder)
        except Unfit as unfit:
            notes.left_out(str(unfit), entry.name)
        tell("Decoding images", done + 1, len(heads))
    if not folders:
        raise ValueError(f"There is no image in it that can be read{notes.because()}")
    return Pictures(without_colours(x[: len(folders)], any(not head.colour for _, head in heads), notes), folders)


def look_at_all(entries: Sequence[Entry], notes: Notes, tell: Tell) -> list[tuple[Entry, Head]]:
    found = []
    for done, entry in enumerate(entries):
        try:
            found.append((entry, look(entry)))
        except Unfit as unfit:
            notes.left_out(str(unfit), entry.name)
        tell("Looking at images", done + 1, len(entries))
    return found


def look(entry: Entry) -> Head:
    """What the head of a picture says, without decoding it. Raises Unfit."""
    image = open_picture(entry)
    width, height = image.size
    try:
        turned = image.format in WITH_EXIF and image.getexif().get(ORIENTATION) in TURNED
    except Exception:  # decoders raise what they like for hostile bytes; an EXIF that is none says nothing
        turned = False
    grey = image.mode in GREY or image.mode.startswith("I;16")
    return Head((height, width) if turned else (width, height), not grey)


def open_picture(entry: Entry) -> Image.Image:
    """The picture, not yet decoded, its number of pixels checked. Raises Unfit."""
    if entry.size > MAX_PICTURE_BYTES:
        raise Unfit(f"It is larger than {MAX_PICTURE_BYTES // 1_000_000} MB.")
    content = entry.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(content), formats=FORMATS)
        width, height = image.size
    except Image.DecompressionBombError as error:
        raise Unfit(f"It has more than {MAX_PIXELS // 1_000_000} million pixels.") from error
    except Exception as error:  # decoders raise what they like for hostile bytes
        if b"<svg" in content[:4096].lower():
            raise Unfit("SVG is a drawing, not pixels: save it as PNG.") from error
        raise Unfit("It is no image that can be read here: PNG, JPEG, WebP, GIF, BMP, PNM or TIFF can.") from error
    if width * height > MAX_PIXELS:
        raise Unfit(f"It has more than {MAX_PIXELS // 1_000_000} million pixels.")
    return image


def is_picture(content: bytes) -> bool:
    """Whether content begins as a picture does, or is an SVG, which is refused as one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        return True
    except Exception:  # decoders raise what they like for hostile bytes
        return b"<svg" in content[:4096].lower()
    return True


def one_size(sizes: Sequence[tuple[int, int]], notes: Notes) -> tuple[int, int]:
    """The width and height that all are brought to: the commonest where one is, else a square."""
    size, count = Counter(sizes).most_common(1)[0]
    if 2 * count < len(sizes):
        side = int(np.median([min(size) for size in sizes]))
        size = (side, side)
    found = bounded(size)
    text = f"{found[0]}×{found[1]}"
    others = sum(size != found for size in sizes)
    if others == len(sizes) and len(set(sizes)) == 1:
        notes.say(f"The images are {sizes[0][0]}×{sizes[0][1]} pixels and were scaled to {text}.")
    elif others:
        notes.say(
            f"{others:,} of {len(sizes):,} images had another size than {text} and were scaled to it; "
            "what then stood over was cut off evenly at the edges."
        )
    return found


def decode(entry: Entry, notes: Notes, size: tuple[int, int], *, channels: int) -> np.ndarray:
    """uint8 [C, H, W]: the picture as it is meant to be seen. Repairs are noted. Raises Unfit."""
    image = open_picture(entry)
    repairs = repairs_of(image, entry.name)
    try:
        # JPEG alone can decode at a half, a quarter or an eighth of its size, which is enough here.
        image.draft(None, (2 * size[0], 2 * size[1]))
        if image.getexif().get(ORIENTATION, 1) != 1:
            image = ImageOps.exif_transpose(image)
            repairs.append("It was turned upright, as its EXIF data asks.")
        plain = on_white(image).convert("RGB" if channels == 3 else "L")
        fitted = plain if plain.size == size else ImageOps.fit(plain, size, Image.Resampling.BICUBIC)
    except MemoryError as error:
        raise Unfit("It takes more memory than one image may.") from error
    except Exception as error:  # decoders raise what they like for hostile bytes
        raise Unfit("It is broken or cut off.") from error
    for what in repairs:
        notes.repaired(what, entry.name)
    pixels = np.asarray(fitted)
    return pixels.transpose(2, 0, 1) if channels == 3 else pixels[None]


def repairs_of(image: Image.Image, name: str) -> list[str]:
    """What will be done to the picture beside scaling, each as a sentence."""
    found = []
    expected = ENDINGS.get(name.rpartition(".")[2].lower())
    kind = "JPEG" if image.format == "MPO" else image.format
    if expected and expected != kind:
        found.append("Its name says another format than it has; it was read as what it is.")
    if getattr(image, "is_animated", False):
        found.append("It moves; its first picture was taken.")
    if is_transparent(image):
        found.append("Parts of it are transparent; they were laid on white.")
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        found.append("It is in the colours of print or film; they were converted to RGB.")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        found.append("It has more than 8 bits a pixel; they were scaled to 8.")
    return found


def is_transparent(image: Image.Image) -> bool:
    return "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info


def on_white(image: Image.Image) -> Image.Image:
    """The picture in 8 bits a channel, with white behind what is transparent."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return in_8_bits(image)
    if not is_transparent(image):
        return image
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, with_alpha)


def in_8_bits(image: Image.Image) -> Image.Image:
    """A grey picture of more bits: 16-bit numbers by the range they may have, others by the one they have."""
    values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
    scale = WIDE if image.mode.startswith("I;16") else guess_scale(*span_of(values), whole=image.mode == "I")[0]
    return Image.fromarray(scale.apply(values))


def span_of(values: np.ndarray) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def without_colours(x: np.ndarray, some_grey: bool, notes: Notes) -> np.ndarray:
    """x, as one channel if its three are the same throughout: many grey images are saved as colour ones."""
    if x.shape[1] == 1:
        return x
    if all(np.array_equal(x[:, 0], x[:, channel]) for channel in (1, 2)):
        notes.say("All images are grey, though some are saved as colour: they were read as grey.")
        return np.ascontiguousarray(x[:, :1])
    if some_grey:
        notes.say("Some images are grey and some in colour: all were read as colour.")
    return x
