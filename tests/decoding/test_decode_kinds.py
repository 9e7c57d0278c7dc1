"""Files of every kind that people send: read as the plain picture is, or refused with the kind's name."""

from __future__ import annotations

import io
import itertools
import random
import struct
import tracemalloc
import zlib
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pillow_heif
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from hub.decoding import colour
from hub.decoding import png as decode_png
from hub.decoding.decode import ImageLimits, decode
from hub.errors import HubError, InputError, OutOfMemoryError, UnsupportedMediaError
from hub.texts import Sentence

FORMAT = {"u": 1, "i": 2, "f": 3, "c": 6}
HEIGHT, WIDTH = 45, 70


def levels() -> NDArray[np.uint8]:
    """Three bands with all levels from black to white, different in each."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    bands = np.stack([x * 255 // (WIDTH - 1), y * 255 // (HEIGHT - 1), (x * y) % 256], axis=-1).astype(np.uint8)
    bands[0, :2] = [[0, 0, 0], [255, 255, 255]]
    return bands


@dataclass
class Tiff:
    """A TIFF of these samples [height, width, bands], written by hand: nothing is shared with what reads it."""

    samples: NDArray[Any]
    order: str = "<"
    planar: bool = False
    compression: int = 1  # or 8: Deflate
    tile: int = 0
    predictor: int = 1
    photometric: int = 1
    big: bool = False
    more: dict[int, tuple[int, list[int]]] = field(default_factory=dict)  # tags: type and values
    thumbnail: bool = False

    def write(self) -> bytes:
        samples = self.samples
        height, width, bands = samples.shape
        parts = [samples[..., n : n + 1] for n in range(bands)] if self.planar else [samples]
        blocks = [self._packed(block) for part in parts for block in self._blocks(part)]
        kind, size = samples.dtype.kind, samples.dtype.itemsize
        body = b"".join(blocks)
        lengths = [len(block) for block in blocks]
        start = 16 if self.big else 8
        offsets = [start + sum(lengths[:n]) for n in range(len(blocks))]
        tags = {
            256: (4, [width]), 257: (4, [height]), 258: (3, [size * 8] * bands), 259: (3, [self.compression]),
            262: (3, [self.photometric]), 277: (3, [bands]), 284: (3, [2 if self.planar else 1]),
            317: (3, [self.predictor]), 339: (3, [FORMAT[kind]] * bands), **self.more,
        }  # fmt: skip
        where = {322: (4, [self.tile]), 323: (4, [self.tile]), 324: (4, offsets), 325: (4, lengths)}
        tags |= where if self.tile else {273: (4, offsets), 278: (4, [13]), 279: (4, lengths)}
        head = {"<": b"II", ">": b"MM"}[self.order]
        at = start + len(body)
        if self.big:
            head += struct.pack(self.order + "HHHQ", 43, 8, 0, at)
        else:
            head += struct.pack(self.order + "HI", 42, at)
        if not self.thumbnail:
            return head + body + self._directory(tags, at, 0)
        first = self._directory(tags | {254: (4, [1]), 256: (4, [8]), 257: (4, [8])}, at, 0)
        after = at + len(first)
        first = self._directory(tags | {254: (4, [1]), 256: (4, [8]), 257: (4, [8])}, at, after)
        return head + body + first + self._directory(tags, after, 0)

    def _blocks(self, part: NDArray[Any]) -> list[NDArray[Any]]:
        if not self.tile:
            return [part[top : top + 13] for top in range(0, len(part), 13)]
        side = self.tile
        padded = np.pad(part, ((0, -part.shape[0] % side), (0, -part.shape[1] % side), (0, 0)))
        tops, lefts = range(0, padded.shape[0], side), range(0, padded.shape[1], side)
        return [padded[top : top + side, left : left + side] for top in tops for left in lefts]

    def _packed(self, block: NDArray[Any]) -> bytes:
        if self.predictor == 2:
            whole = block.view(f"u{block.dtype.itemsize}")
            block = np.concatenate([whole[:, :1], whole[:, 1:] - whole[:, :-1]], axis=1)
        data = block.astype(block.dtype.newbyteorder(self.order)).tobytes()
        return zlib.compress(data) if self.compression == 8 else data

    def _directory(self, tags: dict[int, tuple[int, list[int]]], at: int, after: int) -> bytes:
        number, room = ("Q", 8) if self.big else ("I", 4)
        out = struct.pack(self.order + ("Q" if self.big else "H"), len(tags))
        tail, place = b"", at + len(out) + len(tags) * (20 if self.big else 12) + room
        for tag, (kind, values) in sorted(tags.items()):
            letter = {1: "B", 2: "B", 3: "H", 4: "I", 7: "B"}[kind]
            data = struct.pack(f"{self.order}{len(values)}{letter}", *values)
            if len(data) > room:
                stored = struct.pack(self.order + number, place + len(tail))
                tail += data
            else:
                stored = data.ljust(room, b"\0")
            out += struct.pack(f"{self.order}HH{number}", tag, kind, len(values)) + stored
        return out + struct.pack(self.order + number, after) + tail


def wide(dtype: str) -> NDArray[Any]:
    """`levels` in another sample format, over its whole range."""
    shown = levels()
    kind, bits = dtype[0], int(dtype[1:]) * 8
    if kind == "f":
        return (shown / 255).astype(dtype)
    whole = shown.astype(object) * ((2**bits - 1) // 255)
    return (whole - (2 ** (bits - 1) if kind == "i" else 0)).astype(dtype)


def seen(data: bytes, remarks: list[Sentence] | None = None) -> NDArray[np.int16]:
    return np.asarray(decode(data, remarks=remarks), np.int16)


def png_of(*chunks: tuple[bytes, bytes], depth: int = 8, kind: int = 2, rows: bytes | None = None) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, kind, 0, 0, 0)
    pixels = rows if rows is not None else b"".join(b"\0" + row.tobytes() for row in levels())
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(pixels)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


# --- TIFF -----------------------------------------------------------------------------------------

LAYOUTS: list[dict[str, Any]] = [
    {}, {"planar": True}, {"order": ">"}, {"order": ">", "planar": True, "tile": 16}, {"compression": 8, "tile": 32},
    {"compression": 8, "planar": True, "predictor": 2}, {"big": True},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_every_sample_format_is_read_in_every_layout(dtype: str, layout: dict[str, Any]) -> None:
    layout = {**layout, "predictor": 1} if dtype[0] == "f" else layout  # 2 is for whole numbers
    samples = wide(dtype)
    for photometric, bands in itertools.product((0, 1, 2), (1, 3, 4, 13)):
        if photometric == 2 and bands < 3:
            continue
        repeated = np.concatenate([samples] * 5, axis=2)[..., :bands]
        data = Tiff(repeated, photometric=photometric, **layout).write()
        right = levels().astype(np.int16) if bands >= 3 else np.repeat(levels()[..., :1], 3, axis=2).astype(np.int16)
        right = 255 - right if photometric == 0 else right
        assert np.abs(seen(data) - right).max() <= 1, (photometric, bands)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("associated", [True, False])
def test_alpha_of_any_format_is_laid_on_white(dtype: str, associated: bool) -> None:
    samples = wide(dtype)
    alpha = samples[..., :1]
    whole = 1 if dtype[0] == "f" else 2 ** (8 * int(dtype[1:])) - 1
    for bands in (1, 3):
        colours = samples[..., 1 : 1 + bands] if bands == 1 else samples
        if associated:
            colours = (colours * (alpha / whole)).astype(dtype)
        more = {338: (3, [1 if associated else 2])}
        data = Tiff(np.concatenate([colours, alpha], axis=2), photometric=2 if bands == 3 else 1, more=more).write()
        opacity = levels()[..., :1] / 255
        right = (levels()[..., 1:2] if bands == 1 else levels()) * opacity + 255 * (1 - opacity)
        assert np.abs(seen(data) - right).max() <= 2, bands


@pytest.mark.parametrize(
    ("top", "white"),
    [(255, 255), (900, 1023), (4095, 4095), (9_800, 10_000), (16_000, 16_383), (20_000, 65_535), (65_535, 65_535)],
)
def test_data_of_fewer_bits_than_what_holds_it_is_stretched_and_said_to_be(top: int, white: int) -> None:
    samples = (levels().astype(np.uint32) * top // 255).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    for data in (Tiff(samples, photometric=2).write(), png_of(depth=16, rows=rows)):
        remarks: list[Sentence] = []
        assert np.abs(seen(data, remarks) - samples.astype(np.float64) * 255 / white).max() <= 1
        told = f"image has 16-bit samples from 0 to {top}: 0 was read as black and {white} as white."
        assert remarks == ([told] if white not in (255, 65_535) else [])


@pytest.mark.parametrize(("kind", "bands"), [(0, 1), (4, 2), (6, 4)])
def test_pngs_of_12_bits_in_16_are_stretched_with_and_without_alpha(kind: int, bands: int) -> None:
    colours = levels()[..., : bands - (kind != 0) if kind != 6 else 3].astype(np.uint16) * 16
    alpha = np.full((HEIGHT, WIDTH, 1), 65_535, np.uint16)
    samples = np.concatenate([colours, alpha], axis=2) if kind in (4, 6) else colours
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    assert np.abs(seen(png_of(depth=16, kind=kind, rows=rows)) - colours * (255 / 4095)).max() <= 1


def test_what_maps_call_no_data_does_not_decide_the_range() -> None:
    samples = wide("f4")
    samples[:5] = -9999
    more = {42_113: (2, [*b"-9999\0"])}
    got = seen(Tiff(samples, photometric=2, more=more).write())
    assert np.abs(got[5:] - levels()[5:]).max() <= 1 and not got[:5].any()


def test_a_thumbnail_in_front_is_passed_over() -> None:
    assert np.array_equal(seen(Tiff(levels(), photometric=2, thumbnail=True).write()), levels())


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_and_few_bits_are_read(bits: int) -> None:
    image = Image.fromarray(levels()[..., 0]).convert("1" if bits == 1 else "L")
    if bits == 1:
        assert np.array_equal(seen(saved(image, "TIFF"))[..., 0], np.asarray(image.convert("L")))
    colours = Image.fromarray(levels()).quantize(2**bits)
    assert np.array_equal(seen(saved(colours, "TIFF")), np.asarray(colours.convert("RGB")))


@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_printed_colours_of_8_and_16_bits_are_one(mode: str, dtype: str) -> None:
    bands = np.concatenate([levels(), levels()[..., :1]], axis=2)[..., : 4 if mode == "CMYK" else 3]
    samples = bands.astype(dtype) * (257 if dtype == "u2" else 1)
    got = seen(Tiff(samples, photometric=5 if mode == "CMYK" else 8).write())
    file = saved(Image.frombytes(mode, (WIDTH, HEIGHT), np.ascontiguousarray(bands).tobytes()), "TIFF")
    assert np.abs(got - seen(file)).max() <= 3


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Tiff(np.zeros((16, 16, 2), np.complex64)).write(), "a TIFF with 2 bands of complex grey samples"),
        (Tiff(levels(), compression=34_712).write(), "of 8-bit grey samples, compressed with JPEG 2000"),
        (Tiff(levels(), compression=9_999).write(), "compressed with 9999"),
        (Tiff(wide("f8"), photometric=32_803).write(), "a TIFF with 3 bands of 64-bit float raw sensor samples"),
        (b"\xff\xd8\xff\xc1\0\x11\x0c\0\x10\0\x10\3" + bytes(40), "a JPEG of 12 bits"),
        (b"\xff\xd8\xff\xc3\0\x11\x08\0\x10\0\x10\3" + bytes(40), "a lossless JPEG"),
        (b"\xff\xd8\xff\xf7" + bytes(40), "a JPEG-LS picture"),
    ],
)
def test_what_is_not_supported_is_named_and_never_called_damaged(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedMediaError) as caught:
        decode(data, field="photo")
    assert caught.value.message.startswith("photo is a ") and words in caught.value.message
    assert caught.value.message.endswith("which is not read here. Save it as a PNG or JPEG of 8 bits and try again.")
    assert caught.value.field == "photo"


# --- colours --------------------------------------------------------------------------------------


def profile_of(light: NDArray[np.float64], primaries: int = 1) -> bytes:
    """A profile whose description says sRGB, whatever its curve is."""
    made = colour._matrix_profile(colour.PRIMARIES[primaries], light)
    named = b"desc" + bytes(4) + struct.pack(">I", 5) + b"sRGB\0" + bytes(74)
    return made.replace(b"desc" + bytes(4) + struct.pack(">I", 1) + bytes(79), named)


LINEAR = profile_of(np.linspace(0, 1, 1024))
SIGNAL = np.linspace(0, 1, 1024)
CURVE = np.where(SIGNAL <= 0.04045, SIGNAL / 12.92, ((SIGNAL + 0.055) / 1.055) ** 2.4)
SRGB = profile_of(CURVE)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "AVIF", "HEIC"])
def test_curves_decide_and_not_the_name_in_every_format(kind: str) -> None:
    image = Image.new("RGB", (32, 32), (55, 55, 55))
    for profile, right in ((LINEAR, 128), (SRGB, 55)):
        if kind == "HEIC":
            file = io.BytesIO()
            heif = pillow_heif.from_pillow(image)
            heif.info["icc_profile"] = profile
            heif.save(file, quality=95)
            data = file.getvalue()
        else:
            data = saved(image, kind, icc_profile=profile, **({} if kind in ("PNG", "TIFF") else {"quality": 95}))
        assert np.abs(seen(data) - right).max() <= 4, (kind, right)


def test_primaries_decide_and_not_the_name() -> None:
    curve = np.where(SIGNAL <= 0.04045, SIGNAL / 12.92, ((SIGNAL + 0.055) / 1.055) ** 2.4)
    red, green, blue = seen(saved(Image.new("RGB", (8, 8), (200, 100, 50)), "PNG", icc_profile=profile_of(curve, 12)))[
        0, 0
    ]
    assert abs(red - 215) <= 2 and abs(green - 93) <= 2 and abs(blue - 31) <= 3


def test_an_srgb_profile_leaves_every_pixel_alone() -> None:
    for profile in (SRGB, ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()):
        assert np.array_equal(seen(saved(Image.fromarray(levels()), "PNG", icc_profile=profile)), levels())


def test_grey_profiles_are_applied_with_and_without_alpha() -> None:
    curve = b"curv" + bytes(4) + struct.pack(">I", 0)  # linear
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63_190, 65_536, 54_061)
    tags, at = [(b"wtpt", white), (b"kTRC", curve)], 128 + 4 + 24
    table = b"".join(struct.pack(">4sII", n, at + (20 if i else 0), len(d)) for i, (n, d) in enumerate(tags))
    head = struct.pack(">I4sI4s4s4s", at + 32, bytes(4), 0x02400000, b"mntr", b"GRAY", b"XYZ ") + bytes(12) + b"acsp"
    profile = head + bytes(28) + struct.pack(">3i", 63_190, 65_536, 54_061) + bytes(48) + struct.pack(">I", 2) + table
    profile += white + curve
    for mode, value in (("L", 55), ("LA", (55, 255))):
        assert np.abs(seen(saved(Image.new(mode, (8, 8), value), "PNG", icc_profile=profile)) - 128).max() <= 1
    assert np.abs(seen(saved(Image.new("L", (8, 8), 55), "JPEG", icc_profile=profile, quality=95)) - 128).max() <= 2


def test_chunks_of_png_name_colours_too_and_the_better_one_counts() -> None:
    rows = b"".join(b"\0" + bytes((55, 55, 55)) * WIDTH for _ in range(HEIGHT))
    gamma, srgb = (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0")
    linear, icc = (b"cICP", bytes((1, 8, 0, 1))), (b"iCCP", b"sRGB\0\0" + zlib.compress(LINEAR))
    for chunks, right in (
        ((gamma,), 128), ((srgb, gamma), 55), ((linear, srgb), 128), ((icc, srgb), 128),
        (((b"cICP", bytes((1, 13, 0, 1))), icc), 55), (((b"gAMA", struct.pack(">I", 45_455)),), 55),
        (((b"gAMA", struct.pack(">I", 0)),), 55), (((b"gAMA", b"x"), (b"cHRM", bytes(32))), 55),
    ):  # fmt: skip
        assert np.abs(seen(png_of(*chunks, rows=rows)) - right).max() <= 1, chunks


# --- orientation ----------------------------------------------------------------------------------

XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
       b'tiff:Orientation="%d"/></rdf:RDF></x:xmpmeta>')  # fmt: skip


def exif_of(orientation: int) -> bytes:
    return b"Exif\0\0II*\0" + struct.pack("<IHHHIIi", 8, 1, 274, 3, 1, orientation, 0)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_xmp_turns_a_picture_unless_exif_says_otherwise(kind: str) -> None:
    image = Image.fromarray(levels())
    options: dict[str, Any] = {"xmp": XMP % 6, "quality": 95}
    if kind == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", (XMP % 6).decode())
        options = {"pnginfo": info}
    if kind == "TIFF":
        options = {"tiffinfo": {700: XMP % 6}}
    assert decode(saved(image, kind, **options)).size == (HEIGHT, WIDTH)
    if kind != "TIFF":
        assert decode(saved(image, kind, **options, exif=exif_of(1))).size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("keyword", [b"Raw profile type exif", b"Raw profile type APP1"])
@pytest.mark.parametrize("packed", [True, False])
def test_exif_in_a_text_of_png_turns_it(keyword: bytes, packed: bool) -> None:
    text = b"\nexif\n      %d\n" % len(exif_of(6)) + exif_of(6).hex().encode() + b"\n"
    chunk = (b"zTXt", keyword + b"\0\0" + zlib.compress(text)) if packed else (b"tEXt", keyword + b"\0" + text)
    assert decode(png_of(chunk)).size == (HEIGHT, WIDTH)


def test_a_turned_heic_is_turned_once() -> None:
    file, exif = io.BytesIO(), Image.Exif()
    exif[274] = 6
    pillow_heif.from_pillow(Image.fromarray(levels())).save(file, exif=exif.tobytes())
    assert decode(file.getvalue()).size in {(HEIGHT, WIDTH), (WIDTH, HEIGHT)}
    turned = pillow_heif.open_heif(file.getvalue())
    assert decode(file.getvalue()).size == turned.size, "as its own boxes say; EXIF only repeats it"


# --- nearly whole ---------------------------------------------------------------------------------


def photograph() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 60, (200, 300, 3), np.uint8)
    y, x = np.mgrid[0:200, 0:300]
    return Image.fromarray((np.stack([x * 0.6, y * 0.9, x * 0.3], axis=-1) + noise).astype(np.uint8))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2, 40])
def test_a_jpeg_without_its_last_bytes_is_read(progressive: bool, lost: int) -> None:
    data = saved(photograph(), "JPEG", quality=90, progressive=progressive)
    assert np.abs(seen(data[:-lost]) - seen(data)).mean() < 0.5
    assert np.array_equal(seen(data + b"garbage" * 500), seen(data))


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.9])
def test_a_jpeg_that_lacks_more_is_cut_off(progressive: bool, share: float) -> None:
    data = saved(photograph(), "JPEG", quality=90, progressive=progressive)
    with pytest.raises(InputError, match="is cut off or damaged"):
        decode(data[: int(len(data) * share)])


@pytest.mark.parametrize(
    ("kind", "lost"), [("PNG", 12), ("PNG", 40), ("GIF", 1), ("BMP", 20), ("WEBP", 4), ("TIFF", 20)]
)
def test_other_formats_too_are_read_without_their_last_bytes(kind: str, lost: int) -> None:
    image = photograph()
    data = saved(image, kind)
    assert np.abs(seen(data[:-lost]) - seen(data)).mean() < 1


def test_metadata_of_any_size_in_a_png_stops_nothing() -> None:
    big = random.Random(0).randbytes(2**20 + 1000)
    for chunk in (
        (b"zTXt", b"workflow\0\0" + zlib.compress(big)), (b"tEXt", b"workflow\0" + big),
        (b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(big)), (b"iCCP", b"x\0\0" + zlib.compress(big + big)),
        (b"eXIf", big), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + big),
    ):  # fmt: skip
        assert np.array_equal(seen(png_of(chunk)), levels()), chunk[0]


# --- hostile --------------------------------------------------------------------------------------


def test_damaged_files_of_the_new_kinds_give_a_picture_or_a_hub_error() -> None:
    chance = random.Random(1)
    heic = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(levels())).save(heic)
    sources = [Tiff(wide(dtype), **layout).write() for dtype in ("u2", "f4", "i1") for layout in LAYOUTS[:5]]
    sources += [heic.getvalue(), heic.getvalue(), png_of((b"iCCP", b"x\0\0" + zlib.compress(LINEAR)))]
    sources += [saved(photograph(), "TIFF", compression=name) for name in ("tiff_lzw", "packbits", "jpeg")]
    sources += [saved(Image.fromarray(levels()), "JPEG", icc_profile=LINEAR)]
    for source in sources:
        cuts = [source[: len(source) * step // 20] for step in range(0, 20, 4)]
        for data in [*cuts, *(mutated(source, chance) for _ in range(12))]:
            try:
                assert decode(data, ImageLimits(max_pixels=10**6)).mode == "RGB"
            except HubError as error:
                assert error.message.startswith("image ") and "Traceback" not in error.message


def mutated(source: bytes, chance: random.Random) -> bytes:
    data = bytearray(source)
    for _ in range(chance.choice((1, 2, 8))):
        reach = min(len(data), 300) if chance.random() < 0.5 else len(data)
        data[chance.randrange(reach) if chance.random() < 0.7 else -chance.randrange(1, 300)] = chance.randrange(256)
    return bytes(data)


@pytest.mark.parametrize("lost", [1, 2, 12, 24])
def test_a_tiff_whose_tags_are_cut_off_is_not_read_as_something_else(lost: int) -> None:
    data = saved(photograph(), "TIFF", compression="tiff_lzw", tiffinfo={278: 10_000})
    with pytest.raises(InputError, match="is cut off or damaged"):
        decode(data[:-lost])


@pytest.mark.parametrize("compression", [5, 8, 32_773])
def test_strips_that_all_name_the_same_bytes_are_refused(compression: int) -> None:
    packed = {5: b"\x80\0\x01", 8: zlib.compress(bytes(WIDTH))}.get(compression, b"") + bytes(100_000)
    more = {257: (4, [4000]), 273: (4, [8] * 4000), 278: (4, [1]), 279: (4, [len(packed)] * 4000)}
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            decode(_one_strip(packed, compression, more))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 20 * 2**20


def _one_strip(packed: bytes, compression: int, more: dict[int, tuple[int, list[int]]]) -> bytes:
    """A grey TIFF of 8 bits whose only data is `packed`, at byte 8."""
    made = Tiff(np.zeros((1, WIDTH, 1), np.uint8))
    tags = {256: (4, [WIDTH]), 258: (3, [8]), 259: (3, [compression]), 262: (3, [1]), 277: (3, [1]), **more}
    at = 8 + len(packed)
    return b"II" + struct.pack("<HI", 42, at) + packed + made._directory(tags, at, 0)


def test_deflate_of_empty_blocks_has_a_deadline() -> None:
    empty = b"\x78\x01" + b"\0\0\0\xff\xff" * 2_000_000
    more = {257: (4, [45]), 273: (4, [8]), 278: (4, [45]), 279: (4, [len(empty)])}
    with pytest.raises(InputError, match="takes more than"):
        decode(_one_strip(empty, 8, more), ImageLimits(max_cpu_s=0.001))


@pytest.mark.parametrize("bits", range(1, 16))
@pytest.mark.parametrize("bands", [1, 3])
def test_samples_of_any_number_of_bits_are_taken_apart(bits: int, bands: int) -> None:
    shown = np.random.default_rng(bits).integers(0, 2**bits, (20, 31, bands))
    shown[0, :2] = [[0] * bands, [2**bits - 1] * bands]
    rows = [np.unpackbits(row.astype(">u2").reshape(-1, 1).view(np.uint8), axis=1) for row in shown]
    packed = b"".join(np.packbits(row[:, 16 - bits :].reshape(-1)).tobytes() for row in rows)
    more = {256: (4, [31]), 257: (4, [20]), 258: (3, [bits] * bands), 262: (3, [2 if bands == 3 else 1]),
            273: (4, [8]), 277: (3, [bands]), 278: (4, [20]), 279: (4, [len(packed)])}  # fmt: skip
    got = seen(_one_strip(packed, 1, more))
    assert np.abs(got - shown * 255 / (2**bits - 1)).max() <= 1


@pytest.mark.parametrize("bits", [2, 9, 15])
def test_thousands_of_samples_a_pixel_are_refused_by_name(bits: int) -> None:
    packed = zlib.compress(bytes(WIDTH * 60_000 * bits // 8))
    more = {
        257: (4, [45]),
        258: (3, [bits]),
        273: (4, [8]),
        277: (3, [60_000]),
        278: (4, [45]),
        279: (4, [len(packed)]),
    }
    with pytest.raises(UnsupportedMediaError, match="a TIFF with 60000 bands"):
        decode(_one_strip(packed, 8, more))


def test_a_picture_that_finds_no_memory_is_no_fault_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(colour, "to_rgb", full)
    with pytest.raises(OutOfMemoryError, match="no memory left"):
        decode(saved(photograph(), "PNG"))


def test_texts_in_a_png_are_unpacked_a_few_times_only(monkeypatch: pytest.MonkeyPatch) -> None:
    unpacked, inflated = [], decode_png._inflate
    monkeypatch.setattr(decode_png, "_inflate", lambda *given: unpacked.append(1) or inflated(*given))
    packed = zlib.compress(bytes(2**20 - 10))
    texts = [(b"zTXt", b"Raw profile type xmp\0\0" + packed)] * 3000
    assert np.array_equal(seen(png_of(*texts)), levels())
    assert len(unpacked) == 8


def test_a_png_of_countless_pieces_is_refused() -> None:
    piece = (b"IDAT", b"\0")
    with pytest.raises(InputError, match="is made of more than 65536 pieces"):
        decode(png_of(*[piece] * 70_000))
    assert np.array_equal(seen(png_of(*[(b"IDAT", b"")] * 70_000)), levels())


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_of_a_png_is_the_one_that_is_named(bits: int) -> None:
    top = 2**bits - 1
    shown = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % (top + 1)
    if bits == 16:
        shown = shown + 30_000
    key = int(shown[0, 1])
    wide = np.unpackbits(shown.astype(">u2")[..., None].view(np.uint8), axis=2).reshape(HEIGHT, WIDTH, 16)
    rows = b"".join(b"\0" + np.packbits(row[:, 16 - bits :].reshape(-1)).tobytes() for row in wide)
    got = seen(png_of((b"tRNS", struct.pack(">H", key)), depth=bits, kind=0, rows=rows))[..., 0]
    assert np.abs(got - np.where(shown == key, 255, shown * 255 / top)).max() <= 1


def test_the_transparent_colour_of_a_png_is_compared_with_all_16_bits() -> None:
    samples = np.full((HEIGHT, WIDTH, 3), 0x8001, np.uint16)
    samples[0, 0] = 0x8002
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    got = seen(png_of((b"tRNS", struct.pack(">HHH", *[0x8002] * 3)), depth=16, kind=2, rows=rows))
    assert (got[0, 0] == 255).all() and (got.reshape(-1, 3)[1:] == 128).all()


def test_uncompressed_ycbcr_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaError, match="a TIFF with 3 bands of 8-bit YCbCr samples"):
        decode(Tiff(levels(), photometric=6).write())


@pytest.mark.parametrize("extra", [(2, 0), (0, 2), (1, 0)])
def test_the_alpha_is_the_one_that_is_called_so(extra: tuple[int, int]) -> None:
    colours, clear = levels() // 2, np.zeros((HEIGHT, WIDTH, 1), np.uint8)
    other = np.full((HEIGHT, WIDTH, 1), 255, np.uint8)
    parts = [clear if kind else other for kind in extra]
    samples = np.concatenate([colours if extra[0] != 1 else colours * 0, *parts], axis=2)
    data = Tiff(samples, photometric=2, more={338: (3, [*extra])}).write()
    assert (seen(data) == 255).all()


@pytest.mark.parametrize("version", [0, 1, 2])
@pytest.mark.parametrize(("items", "extents", "length"), [(60, 4, 100_000), (3, 60, 0), (1, 65, 1), (4097, 1, 1)])
@pytest.mark.parametrize("brand", [b"heic", b"avif", b"avis"])
def test_items_that_name_the_same_bytes_are_refused_in_heic_and_avif(
    version: int, items: int, extents: int, length: int, brand: bytes
) -> None:
    def box(kind: bytes, *parts: bytes) -> bytes:
        return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)

    number = ">I" if version == 2 else ">H"
    entries = b"".join(
        struct.pack(number, n + 1) + bytes(2 if version else 0) + bytes(2) + struct.pack(">H", extents)
        + struct.pack(">II", 100, length) * extents
        for n in range(items)
    )  # fmt: skip
    iloc = box(b"iloc", bytes([version, 0, 0, 0]), b"\x44\0", struct.pack(number, items), entries)
    data = box(b"ftyp", brand, bytes(4), b"mif1") + box(b"meta", bytes(4), iloc) + box(b"mdat", bytes(100_000))
    told = "points at the same bytes again and again|is made of more than 4096 pieces"
    with pytest.raises(InputError, match=told):
        decode(data)


def bmp_of(masks: tuple[int, int, int, int], pixels: NDArray[np.uint32]) -> bytes:
    head = struct.pack("<IiiHHIIiiII4I", 56, WIDTH, -HEIGHT, 1, 32, 3, pixels.nbytes, 0, 0, 0, 0, *masks)
    size = 14 + len(head) + pixels.nbytes
    return b"BM" + struct.pack("<IHHI", size, 0, 0, 14 + len(head)) + head + pixels.astype("<u4").tobytes()


def test_a_bmp_whose_alpha_is_0_everywhere_is_opaque() -> None:
    red, green, blue = np.moveaxis(levels().astype(np.uint32), 2, 0)
    masks, pixels = (0xFF0000, 0xFF00, 0xFF, 0xFF000000), red << 16 | green << 8 | blue
    assert np.array_equal(seen(bmp_of(masks, pixels)), levels())
    pixels[0, 0] |= 0xFF000000  # so that it is alpha
    assert (seen(bmp_of(masks, pixels)).reshape(-1, 3)[1:] == 255).all()


def test_a_bmp_of_other_masks_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedMediaError, match="a BMP with unusual colour masks"):
        decode(bmp_of((0x3FF00000, 0xFFC00, 0x3FF, 0), np.zeros((HEIGHT, WIDTH), np.uint32)))
