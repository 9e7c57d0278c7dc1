"""Colours of any profile to sRGB. What a profile is called counts for nothing: its curves and primaries decide."""

from __future__ import annotations

import io
import logging
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from hub.images import on_white

log = logging.getLogger(__name__)
MOST_PROFILE_BYTES = 4 * 2**20  # those of printers reach 3 MB
KEPT_BYTES = 2**16  # of a profile whose verdict is remembered; the common ones are small
SAME_LEVELS = 1  # out of 255: what such a profile would change nobody sees
_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_PROFILE_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError, struct.error)

# Primaries and white as xy, by their number in ITU-T H.273.
_D65, _C, _DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)
_NTSC, _P3 = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070)), ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65), 4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65), 6: (*_NTSC, _D65), 7: (*_NTSC, _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65), 11: (*_P3, _DCI), 12: (*_P3, _D65),
}  # fmt: skip
_AS_SRGB = {1, 2, 6, 13, 14, 15}  # transfers that screens show with sRGB's curve, as browsers do
_GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
_PQ, _HLG, _WHITE_NITS = 16, 18, 203
Primaries = tuple[tuple[float, float], ...]


def to_rgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """Any mode of 8 bits to RGB in sRGB; alpha on white. A profile that is broken or of another space is left out.

    `image` may be changed and returned, so the caller must not use it afterwards.
    """
    image = _opaque(image)
    if image.mode == "LAB":
        return _convert(image, ImageCms.createProfile("LAB")) or image.convert("RGB")
    if profile and len(profile) <= MOST_PROFILE_BYTES:
        source = _open_profile(profile)
        mode = _SPACES.get(_space(source)) if source else None
        if mode == "RGB" and image.mode in ("L", "1"):
            image = image.convert("RGB")
        if source and mode == ("L" if image.mode == "1" else image.mode) and not _is_srgb(profile):
            converted = _convert(image.convert("L") if image.mode == "1" else image, source)
            if converted is not None:
                return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def of_code_points(primaries: int, transfer: int) -> bytes | None:
    """A profile for what cICP and nclx say (ITU-T H.273); None for sRGB and what is not known."""
    if primaries not in PRIMARIES or (primaries in (1, 5, 6, 7) and transfer in _AS_SRGB):
        return None
    signal = np.linspace(0, 1, 1024)
    if transfer in _AS_SRGB:
        light = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    elif transfer in _GAMMAS:
        light = signal ** _GAMMAS[transfer]
    elif transfer == _PQ:
        power = signal ** (1 / 78.84375)
        light = (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
        light = np.minimum(light * 10_000 / _WHITE_NITS, 1)
    elif transfer == _HLG:
        light = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991073) / 0.17883277) + 0.28466892) / 12)
        light = np.minimum(light / 0.265, 1)  # where HLG has white
    else:
        return None
    return _matrix_profile(PRIMARIES[primaries], light)


def of_gamma(gamma: float | None, chromaticities: Primaries | None) -> bytes | None:
    """A profile for PNG's gAMA and cHRM; None where they say sRGB, nothing, or nonsense."""
    exponent = 1 / gamma if gamma and 0.1 < gamma < 10 else None
    if exponent is None or abs(exponent - 2.2) < 0.11:
        exponent = None
    primaries = chromaticities if chromaticities and _is_sensible(chromaticities) else None
    if primaries and np.abs(np.subtract(primaries, PRIMARIES[1])).max() < 0.005:
        primaries = None
    if primaries is None and exponent is None:
        return None
    signal = np.linspace(0, 1, 1024)
    srgb = np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)
    return _matrix_profile(primaries or PRIMARIES[1], signal**exponent if exponent else srgb)


# --- converting -----------------------------------------------------------------------------------


def _opaque(image: Image.Image) -> Image.Image:
    """Grey, RGB, CMYK or Lab without alpha: what was see-through is white."""
    if image.mode == "LA" or (image.mode in ("L", "1") and image.has_transparency_data):
        grey, alpha = image.convert("LA").split()
        canvas = Image.new("L", image.size, 255)
        canvas.paste(grey, mask=alpha)
        return canvas
    if image.has_transparency_data:
        return on_white(image)
    return image if image.mode in ("1", "L", "RGB", "CMYK", "LAB") else image.convert("RGB")


def _open_profile(profile: bytes) -> Any:
    """None for what lcms does not take."""
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile))
    except _PROFILE_ERRORS as error:
        log.debug("colour profile not used: %s", error)
        return None


def _space(source: Any) -> str:
    return str(source.profile.xcolor_space)


def _is_srgb(profile: bytes) -> bool:
    return _is_kept_srgb(profile) if len(profile) <= KEPT_BYTES else _changes_nothing(profile)


def _changes_nothing(profile: bytes) -> bool:
    """Whether a profile of RGB changes next to nothing, tried on a cube of colours and a ramp of greys."""
    source = _open_profile(profile)
    if source is None or _space(source) != "RGB ":
        return False
    converted = _convert(_cube().copy(), source)
    return converted is None or int(np.abs(np.asarray(converted, np.int16) - np.asarray(_cube())).max()) <= SAME_LEVELS


_is_kept_srgb = lru_cache(maxsize=64)(_changes_nothing)


@lru_cache(maxsize=1)
def _cube() -> Image.Image:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colours = np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(-1, 3)
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    return Image.fromarray(np.concatenate([colours, ramp])[None])


def _convert(image: Image.Image, source: Any) -> Image.Image | None:
    """The picture, which is changed if it is RGB already; None where lcms finds no way to sRGB."""
    try:
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), image.mode, "RGB")
        in_place = image.mode == "RGB"  # half the memory of a large picture
        return ImageCms.applyTransform(image, transform, inPlace=in_place) or image
    except _PROFILE_ERRORS as error:
        log.debug("colour profile not used: %s", error)
        return None


# --- making a profile -----------------------------------------------------------------------------


def _is_sensible(points: Primaries) -> bool:
    """Colours that could be a screen's: inside the diagram, and not on one line."""
    if len(points) != 4 or not all(0 <= x <= 1 and 0.001 < y <= 1 and x + y <= 1.001 for x, y in points):
        return False
    (rx, ry), (gx, gy), (bx, by), _ = points
    return abs((gx - rx) * (by - ry) - (bx - rx) * (gy - ry)) > 0.01


def _matrix_profile(points: Primaries, light: NDArray[Any]) -> bytes:
    """An ICC profile (version 2) of these primaries and white, with one curve for all three."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    primaries, white = xyz[:, :3], xyz[:, 3]
    columns = primaries * np.linalg.solve(primaries, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    d50 = np.array([0.9642, 1.0, 0.8249])
    adapted = np.linalg.inv(bradford) @ np.diag((bradford @ d50) / (bradford @ white)) @ bradford @ columns
    curve = np.rint(np.clip(light, 0, 1) * 65_535).astype(">u2").tobytes()
    curve = b"curv" + bytes(4) + struct.pack(">I", len(light)) + curve
    description = b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(79)
    tags = {b"desc": description, b"cprt": b"text" + bytes(5), b"wtpt": _xyz(d50)}
    tags |= {name: _xyz(adapted[:, n]) for n, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    tags |= dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    table, body, at = b"", b"", 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for name, data in tags.items():
        if data not in placed:
            placed[data] = at + len(body)
            body += data + bytes(-len(data) % 4)
        table += struct.pack(">4sII", name, placed[data], len(data))
    size = at + len(body)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x02400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12)
    head += b"acsp" + bytes(28) + struct.pack(">3i", *(round(v * 65_536) for v in d50)) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def _xyz(values: NDArray[Any]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(float(v) * 65_536) for v in values))
