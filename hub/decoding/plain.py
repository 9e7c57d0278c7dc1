"""GIF and WebP: what Pillow's own plugins read wholly."""

from __future__ import annotations

from PIL.GifImagePlugin import GifImageFile
from PIL.ImageFile import ImageFile
from PIL.WebPImagePlugin import WebPImageFile

from hub.decoding.orientation import of_exif, of_xmp
from hub.decoding.reading import NEARLY, GuardedFile, RawPicture, Reading, plain

WEBP_BYTES = 8  # of a pixel beside the picture: libwebp composes frames on a canvas, and hands on a copy


def read_gif(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, or what Pillow raises on damaged data."""
    return by_pillow(GifImageFile, data, reading)


def read_webp(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError, or what Pillow raises on damaged data."""
    if data[12:16] == b"VP8X":  # libwebp makes a canvas as soon as it opens the file
        reading.check_size(*(int.from_bytes(data[at : at + 3], "little") + 1 for at in (24, 27)))
    return by_pillow(WebPImageFile, padded(data, int.from_bytes(data[4:8], "little") + 8), reading, WEBP_BYTES)


def by_pillow(plugin: type[ImageFile], data: bytes, reading: Reading, pixel_bytes: int = 0) -> RawPicture:
    """`pixel_bytes`: of each pixel, what is held beside the picture while it is read."""
    with plugin(GuardedFile(data, reading.check_time)) as image:
        reading.admit(image.size, image.mode, pixel_bytes * image.size[0] * image.size[1])
        image.load()
        turn = of_exif(image.info.get("exif") or b"") or of_xmp(image.info.get("xmp") or b"") or 1
        return RawPicture(plain(image), image.info.get("icc_profile"), turn)


def padded(data: bytes, declared: int) -> bytes:
    """The file as long as it says that it is, where next to nothing is missing: the rest is read as black or so."""
    missing = declared - len(data)
    return data + bytes(missing) if 0 < missing <= NEARLY * len(data) else data
