"""HEIC, as phones send it. libheif bounds itself by the size that the file declares, which is checked first."""

from __future__ import annotations

from typing import Any

from PIL import Image

from hub.decoding import boxes, colour
from hub.decoding.reading import CutOffError, RawPicture, Reading
from hub.texts import sentence


def read(data: bytes, reading: Reading) -> RawPicture:
    """Raises a HubError or CutOffError. What turns the picture in the file has been done; EXIF only repeats it."""
    boxes.check(data, reading)
    try:
        heif = _open_heif(data)
    except (ValueError, RuntimeError, LookupError, EOFError, SyntaxError, OSError) as error:
        raise _explain_failure(error, reading) from error
    reading.admit(heif.size, "RGBA")  # its bytes, beside what is made of them
    reading.check_time()
    try:
        heif.load()
    except (ValueError, RuntimeError, EOFError, SyntaxError, OSError) as error:
        raise _explain_failure(error, reading) from error
    reading.check_size(*heif.size)
    mode = {"RGBa": "RGBA", "La": "LA"}.get(heif.mode, heif.mode)
    image = Image.frombuffer(heif.mode, heif.size, heif.data, "raw", heif.mode, heif.stride, 1)
    profile = heif.info.get("icc_profile") or None
    nclx = heif.info.get("nclx_profile") or {}
    if profile is None and nclx:
        profile = colour.of_code_points(
            int(nclx.get("color_primaries", 2)), int(nclx.get("transfer_characteristics", 2))
        )
    return RawPicture(image.convert(mode) if mode != heif.mode else image.copy(), profile)


def _open_heif(data: bytes) -> Any:
    """The file's main picture, not decoded yet. The library is large, and most hubs never see a HEIC."""
    import pillow_heif
    from pillow_heif import options

    # Only the picture itself is read; one thread, so that a file takes no more of the machine than any other.
    options.THUMBNAILS = options.DEPTH_IMAGES = options.AUX_IMAGES = False
    options.DECODE_THREADS = 1
    file = pillow_heif.open_heif(data, convert_hdr_to_8bit=True)
    return file[file.primary_index]


def _explain_failure(error: Exception, reading: Reading) -> Exception:
    """The error for people. libheif's words tell what it cannot read from what is damaged."""
    words = str(error).lower()
    if "security limit" in words or "too large" in words:
        return reading.unsupported(sentence("a HEIC picture that asks for more memory than its size needs"))
    if "primary item" in words:
        return reading.unsupported(sentence("a HEIC file without a still picture"))
    if any(phrase in words for phrase in ("unsupported", "not support", "not been built in")):
        return reading.unsupported(sentence("a HEIC file without a picture of HEVC"))
    return CutOffError("damaged")
