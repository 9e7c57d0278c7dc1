"""Input pictures as every browser shows them: the way the engine sees them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hub.decoding import budget
from hub.decoding.decode import FORMATS, ImageLimits, decode, sniff
from hub.errors import HubError
from hub.images import encode, thumbnail

SIDE = 2048  # px; a still is looked at only, so it need not be larger
HEAD = 2**16  # bytes that tell what a file is
STILL = ".still.jpg"  # added to a picture's name
GIF_FRAME = b"\x21\xf9\x04"  # before each picture of an animation, but perhaps the first; or one that is see-through


def write_browsable(picture: Path | bytes, folder: Path) -> str:
    """A file of an input picture that every browser shows as the engine saw it: upright, sRGB, on white."""
    data = picture.read_bytes() if isinstance(picture, Path) else picture
    if isinstance(picture, Path) and sniff(data) == "JPEG":
        return str(picture)
    path = folder / "inputs" / f"{hashlib.sha256(data).hexdigest()[:32]}.jpg"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with budget.room():
            path.write_bytes(encode(decode(data, ImageLimits(max_bytes=len(data))), "jpeg"))
    return str(path)


def is_picture(file: Path) -> bool:
    """Whether a file begins as a picture does, of any kind that the hub knows."""
    with file.open("rb") as opened:
        return sniff(opened.read(HEAD)) in FORMATS


def needs_still(picture: Path) -> bool:
    """Whether a browser would show something else than is analysed: nothing of a TIFF, all of an animation."""
    with picture.open("rb") as file:
        head = file.read(HEAD)
    kind = sniff(head)
    moves = {
        "GIF": lambda: GIF_FRAME in picture.read_bytes(),
        "WebP": lambda: head[12:16] == b"VP8X" and bool(head[20] & 2),
        "PNG": lambda: b"acTL" in head,
        "AVIF": lambda: head[8:12] == b"avis",
    }
    return kind in ("TIFF", "HEIC") or (kind in moves and moves[kind]())


def make_still(picture: Path) -> Path | None:
    """A still of a picture that needs one, at most `SIDE` px long, beside it; None for any other.

    None, too, of what cannot be read: its run tells why.
    """
    path = picture.with_name(picture.name + STILL)
    try:
        if not needs_still(picture):
            return None
        if not path.exists():
            data = picture.read_bytes()
            with budget.room():
                path.write_bytes(thumbnail(decode(data, ImageLimits(max_bytes=len(data))), SIDE, "still"))
    except (OSError, HubError):
        return None
    return path


def picture_of(file: Path) -> Path:
    """The picture of which a file is the still; itself, where it is none. Nothing is read but what lies beside it."""
    original = file.with_name(file.name.removesuffix(STILL))
    return original if original != file and original.is_file() else file


def find_original(file: Path, name: str | None) -> Path:
    """What a page's picture stands for: `name`, if `shown` is its still, or itself."""
    picture = picture_of(file)
    return picture if name == str(picture) else file
