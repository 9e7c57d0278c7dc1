"""What a file declares and what it really holds: frames, items and pieces are counted before anything is unpacked."""

from __future__ import annotations

import io
import random
import struct
import subprocess
import sys
import tracemalloc
from typing import Any

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from hub.decoding import avif as decode_avif
from hub.decoding import budget
from hub.decoding.decode import LIMITS, ImageLimits, declared, decode
from hub.decoding.reading import Reading
from hub.errors import HubError, InputError, TooLargeError, UnsupportedMediaError
from hub.settings import ROOT
from tests.decoding.test_decode_kinds import HEIGHT, WIDTH, Tiff, levels, saved, seen


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I", 8 + sum(map(len, parts))) + kind + b"".join(parts)


def full(kind: bytes, *parts: bytes, version: int = 0) -> bytes:
    return box(kind, bytes([version, 0, 0, 0]), *parts)


def plain(mode: str = "RGB", size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    return Image.new(mode, size, (200, 100, 50, 90)[: len(mode)])


# --- AVIF -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("side", [2200])
def test_an_avif_of_larger_frames_than_it_declares_is_refused_before_they_are_unpacked(side: int) -> None:
    data = saved(plain(size=(side, side)), "AVIF", speed=10)
    at = data.index(b"ispe") + 8
    assert data[at : at + 8] == struct.pack(">II", side, side)
    with pytest.raises(
        InputError, match=r"image \(AVIF\) unpacks to [\d.]+ megapixels or more, while it shows far fewer"
    ):
        decode(data[:at] + struct.pack(">II", 16, 16) + data[at + 8 :])


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("size", [(16, 16), (65, 33), (512, 128)])
@pytest.mark.parametrize("frames", [1, 3])
def test_the_frames_of_an_avif_are_counted_rightly(mode: str, size: tuple[int, int], frames: int) -> None:
    others = [Image.new(mode, size) for _ in range(frames - 1)]
    data = saved(plain(mode, size), "AVIF", **({"save_all": True, "append_images": others} if others else {}))
    assert decode(data).size == size
    first = (2 if mode == "RGBA" else 1) * (2 if others else 1)  # beside the animation lies its first frame
    assert decode_avif._count_pixels(data, size, Reading("image", "AVIF", LIMITS)) == first * size[0] * size[1]


def test_a_picture_of_countless_frames_in_one_item_is_refused() -> None:
    data = saved(plain(size=(900, 900)), "AVIF", speed=10)
    reading = Reading("image", "AVIF", LIMITS)
    at = data.index(b"mdat") + 4
    assert decode_avif._frame_pixels(memoryview(data[at:]), reading) == 810_000
    assert decode_avif._frame_pixels(memoryview(data[at:] + b"\x32\0" * 99), reading) == 81_000_000
    with pytest.raises(InputError, match="is made of more than 4096 pieces") as caught:
        _decode_items(b"\x12\0" * 5000)
    assert isinstance(caught.value, InputError)


def _decode_items(payload: bytes) -> None:
    """An AVIF file whose picture has this data."""
    made = saved(plain(), "AVIF")
    at, size = made.index(b"iloc"), made.index(b"mdat") + 4
    start = at + made[at : at + 60].index(struct.pack(">I", size))
    changed = made[: start + 4] + struct.pack(">I", len(payload)) + made[start + 8 : size - 8]
    decode(changed + box(b"mdat", payload))


def _still(*inside: bytes, brand: bytes = b"avif", after: bytes = b"") -> bytes:
    handler = full(b"hdlr", bytes(4), b"pict", bytes(13))
    return box(b"ftyp", brand, bytes(4), brand, b"mif1") + full(b"meta", handler, *inside) + after


def _infos(count: int) -> bytes:
    infos = (full(b"infe", struct.pack(">HH", n & 65_535, 0), b"av01", b"\0", version=2) for n in range(count))
    return full(b"iinf", struct.pack(">I", count), *infos, version=1)


def _animation(**tables: tuple[int, bytes]) -> bytes:
    """`tables`: of the frames, the number of entries and these."""
    parts = [full(name.encode(), struct.pack(">I", count), rest) for name, (count, rest) in tables.items()]
    tracks = box(b"trak", box(b"mdia", box(b"minf", box(b"stbl", *parts))))
    return _still(brand=b"avis", after=box(b"moov", tracks))


BOMBS = {
    "items": (_still(_infos(60_000)), "is made of more than 8192 pieces"),
    "references": (_still(full(b"iref", box(b"dimg", bytes(2**18)))), "is made of more than 4096 pieces"),
    "associations": (_still(box(b"iprp", full(b"ipma", bytes(2**20)))), "is made of more than 4096 pieces"),
    "properties": (_still(box(b"iprp", box(b"ipco", box(b"free") * 20_000))), "is made of more than 8192 pieces"),
    "tracks": (_still(after=box(b"moov", box(b"trak") * 50_000)), "is made of more than 16 pieces"),
    "frames": (_animation(stsz=(0, struct.pack(">I", 10**6))), "has more than 65536 frames"),
    "frames of no bytes": (
        _animation(stsc=(1, struct.pack(">III", 1, 10**6, 1)), stco=(3, bytes(12))),
        "has more than 65536 frames",
    ),
    "chunks": (_animation(stco=(100_000, bytes(400_000))), "has more than 65536 frames"),
    "runs of chunks": (_animation(stsc=(5_000, bytes(60_000))), "is made of more than 1024 pieces"),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("brand", [b"avif", b"heic"])
def test_countless_things_in_an_avif_or_a_heic_are_refused_before_a_library_walks_over_them(
    name: str, brand: bytes
) -> None:
    data, told = BOMBS[name]
    with pytest.raises(InputError, match=told):
        decode(data.replace(b"avif", brand).replace(b"avis", brand))


# --- named and not called damaged -------------------------------------------------------------------


def bmp_of(header: int, bits: int, compression: int, body: bytes = bytes(20_000), height: int = HEIGHT) -> bytes:
    head = struct.pack("<IiiHHIIiiII", header, WIDTH, height, 1, bits, compression, len(body), 0, 0, 0, 0)
    head = (head + bytes(header))[:header]
    colours = b"".join(bytes((n, n // 2, 255 - n, 0)) for n in range(1 << bits)) if bits <= 8 else b""
    start = 14 + len(head) + len(colours)
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + colours + body


def jpeg_of(change: Any) -> bytes:
    """A JPEG whose frame (marker, then its content) is what `change` makes of it."""
    data = saved(plain(), "JPEG")
    at = data.index(b"\xff\xc0")
    end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    marker, content = change(data[at + 1], data[at + 4 : end])
    return data[:at] + bytes([0xFF, marker]) + struct.pack(">H", 2 + len(content)) + content + data[end:]


NAMED = {
    "BMP JPEG": (bmp_of(40, 0, 4), "a BMP compressed with JPEG"),
    "BMP PNG": (bmp_of(40, 0, 5), "a BMP compressed with PNG"),
    "BMP alpha": (bmp_of(40, 32, 6), "a BMP compressed with alpha masks"),
    "BMP CMYK": (bmp_of(108, 8, 12), "a BMP compressed with CMYK RLE8"),
    "BMP Huffman": (bmp_of(64, 1, 3), "a BMP compressed with Huffman 1D"),
    "BMP RLE24": (bmp_of(64, 24, 4), "a BMP compressed with RLE24"),
    "BMP 77": (bmp_of(40, 24, 77), "a BMP compressed with 77"),
    "BMP RLE4 of 8 bits": (bmp_of(40, 8, 2), "a BMP of 8 bits a pixel compressed with RLE4"),
    "BMP 2 bits": (bmp_of(40, 2, 0), "a BMP of 2 bits a pixel"),
    "BMP 64 bits": (bmp_of(40, 64, 0), "a BMP of 64 bits a pixel"),
    "BMP header": (bmp_of(48, 24, 0), "a BMP with a header of 48 bytes"),
    "JPEG 2": (jpeg_of(lambda m, c: (m, c[:5] + b"\2" + c[6:12])), "a JPEG of 2 components"),
    "JPEG DNL": (jpeg_of(lambda m, c: (m, c[:1] + bytes(2) + c[3:])), "a JPEG that tells its height only at its end"),
    "JPEG sampling": (jpeg_of(lambda m, c: (m, c[:7] + b"\x31" + c[8:10] + b"\x21" + c[11:])), "of unusual sampling"),
    "JPEG DHP": (jpeg_of(lambda m, c: (0xDE, c)), "a hierarchical JPEG"),
    "PNG": (b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(8) + saved(plain(), "PNG")[8:], "a PNG made for iOS alone"),
    "AVIF": (
        saved(plain(), "AVIF").replace(b"av01", b"hvc1").replace(b"av1C", b"hvcC"),
        "an AVIF file without a picture of AV1",
    ),
    "HEIC": (box(b"ftyp", b"hevc", bytes(4)) + box(b"moov", bytes(50)), "a HEIC file without a"),
    "HEIF of AVC": (saved(plain(), "AVIF").replace(b"ftypavif", b"ftypavci", 1), "a HEIC file without a picture of"),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
def test_a_file_of_a_kind_that_is_not_read_is_named(name: str) -> None:
    data, told = NAMED[name]
    with pytest.raises(UnsupportedMediaError, match=told) as caught:
        decode(data)
    assert caught.value.message.endswith("which is not read here. Save it as a PNG or JPEG of 8 bits and try again.")


def test_a_webp_of_a_giant_canvas_is_too_large_and_not_damaged() -> None:
    data = saved(plain("RGBA"), "WEBP", exif=b"Exif\0\0")
    assert data[12:16] == b"VP8X"
    with pytest.raises(TooLargeError, match="16777216 x 65536"):
        decode(data[:24] + b"\xff\xff\xff\xff\xff\0" + data[30:])


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("height", [HEIGHT, -HEIGHT])
def test_runs_in_a_bmp_may_leave_out_pixels_rows_and_the_rest(bits: int, height: int) -> None:
    right = np.zeros((HEIGHT, WIDTH), np.uint8)
    right[0, :5], right[0, 5:8], right[0, 8:11] = 3, [1, 2, 3], 7
    right[1, :3] = right[4, 5:8] = 9
    same = {3: 0x33, 7: 0x77, 9: 0x99} if bits == 4 else {3: 3, 7: 7, 9: 9}
    three = b"\0\3\x12\x30" if bits == 4 else b"\0\3\1\2\3\0"
    runs = bytes((5, same[3])) + three + bytes((3, same[7], 0, 0, 3, same[9]))
    runs += bytes((0, 2, 2, 3, 3, same[9], 0, 1))  # two to the right, three on; then the end
    got = seen(bmp_of(40, bits, 2 if bits == 4 else 1, runs, height))
    colours = np.stack([255 - right, right // 2, right], axis=-1).astype(np.int16)
    assert np.array_equal(got, colours[::-1] if height > 0 else colours)


def test_runs_of_a_bmp_that_are_cut_off_are_damaged() -> None:
    with pytest.raises(InputError, match="is cut off or damaged"):
        decode(bmp_of(40, 8, 1, b"\5\3" * 10))
    rows = b"".join(bytes((WIDTH, n, 0, 0)) for n in range(HEIGHT))
    assert seen(bmp_of(40, 8, 1, rows)).shape == levels().shape


def test_animations_show_their_first_frame() -> None:
    others = [Image.new("RGB", (WIDTH, HEIGHT), "white")]
    for kind in ("GIF", "PNG", "WEBP", "AVIF"):
        file = io.BytesIO()
        plain().save(file, kind, save_all=True, append_images=others)
        assert np.abs(seen(file.getvalue()) - (200, 100, 50)).max() <= 6, kind


# --- room for what is unpacked beside the picture ---------------------------------------------------


def tiled(side: int, **more: Any) -> bytes:
    """The picture in one tile that is far larger."""
    shown = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shown[:] = levels()
    return Tiff(shown, photometric=2, tile=side, **more).write()


ROOMS = {
    "plain PNG": (saved(plain(), "PNG"), 1),
    "WebP": (saved(plain(), "WEBP"), 2),
    "progressive JPEG": (saved(plain(), "JPEG", progressive=True), 1.75),
    "AVIF": (saved(plain(), "AVIF"), 1.875),
    "TIFF in one strip": (saved(Image.fromarray(levels()), "TIFF", compression="tiff_lzw", tiffinfo={278: 99}), 1.75),
    "TIFF in a large tile": (tiled(1024, compression=8), 1 + 1024**2 * 3 / 8 / WIDTH / HEIGHT),
    "TIFF in planes": (tiled(1024, compression=8, planar=True), 1 + 1024**2 * 3 / 8 / WIDTH / HEIGHT),
    "TIFF of JPEG": (saved(plain(), "TIFF", compression="jpeg", tiffinfo={278: 99}), 1.5),
}


@pytest.mark.parametrize("name", ROOMS)
def test_room_is_taken_for_what_is_held_beside_a_picture(name: str) -> None:
    data, times = ROOMS[name]
    assert declared(data) == pytest.approx(times * WIDTH * HEIGHT, rel=0.01)
    room = budget.PixelRoom(lambda: 1.0, lambda: False)
    token = budget._ROOM.set(room)
    try:
        decode(data)
        assert room.held == declared(data)
    finally:
        budget._ROOM.reset(token)
        room.give_back()


@pytest.mark.parametrize("side", [4112, 60_000])
def test_tiles_that_are_absurdly_larger_than_the_picture_are_refused(side: int) -> None:
    data = tiled(16)
    for tag in (322, 323):
        at = data.index(struct.pack("<HHII", tag, 4, 1, 16))
        data = data[:at] + struct.pack("<HHII", tag, 4, 1, side) + data[at + 12 :]
    with pytest.raises(TooLargeError, match=f"tiles of {side} x {side}; at most 16.8 megapixels a tile are read"):
        decode(data)


@pytest.mark.slow
@pytest.mark.parametrize("layout", [{"compression": 8}, {"compression": 8, "predictor": 2}, {"planar": True}], ids=str)
def test_a_large_tile_is_held_once(layout: dict[str, Any]) -> None:
    samples = np.zeros((2500, 2500, 3), np.uint16)
    data = Tiff(samples, photometric=2, tile=2512, **layout).write()
    tracemalloc.start()
    try:
        decode(data, ImageLimits(max_bytes=10**8))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2.2 * samples.nbytes


OVERLAY = """
import numpy as np
from PIL import Image
from hub.images import overlay

peak = lambda: int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) * 1024
photo, ids = Image.new("RGB", (4000, 4000)), np.ones((4000, 4000), np.uint8)
before = peak()
overlay(photo, ids, [(0, 0, 0), (9, 9, 9)], 0.5)
print((peak() - before) / ids.size)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it")
def test_an_overlay_takes_no_more_than_the_picture_that_it_makes() -> None:
    done = subprocess.run([sys.executable, "-c", OVERLAY], capture_output=True, text=True, timeout=60, check=True)
    assert float(done.stdout) < 5.5  # bytes a pixel; four are the new picture's


# --- any bytes ------------------------------------------------------------------------------------

FUZZ = """
import random, resource, time
from hub.decoding.decode import FORMATS, decode
from hub.errors import HubError
from tests.decoding.test_decode_bounds import fuzzed, sources

resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))
found, chance = sources(), random.Random(14)
assert set(found) == set(FORMATS)
for number in range(1200):
    data = fuzzed(chance.choice(found[FORMATS[number % len(FORMATS)]]), chance)
    begin = time.process_time()
    try:
        assert decode(data).mode == "RGB"
    except HubError as error:
        assert error.message.startswith("image "), error.message
    assert time.process_time() - begin < 10, (number, len(data))
"""


def sources() -> dict[str, list[bytes]]:
    """Small valid files of every format that is read."""
    image, heic = Image.fromarray(levels()), io.BytesIO()
    pillow_heif.from_pillow(image).save(heic)
    few, others = image.quantize(16), {"save_all": True, "append_images": [Image.new("RGB", image.size)]}
    runs = b"".join(bytes((WIDTH, n, 0, 0)) for n in range(HEIGHT))
    packed: list[dict[str, Any]] = [{}, {"compression": 8, "tile": 32}, {"big": True}, {"order": ">", "planar": True}]
    tiffs = [Tiff(levels(), photometric=2, **layout).write() for layout in packed]
    return {
        "JPEG": [saved(image, "JPEG"), saved(image, "JPEG", progressive=True), saved(image.convert("CMYK"), "JPEG")],
        "PNG": [saved(image, "PNG"), saved(few, "PNG"), saved(image, "PNG", **others)],
        "WebP": [saved(image, "WEBP"), saved(image, "WEBP", lossless=True), saved(image, "WEBP", **others)],
        "GIF": [saved(few, "GIF"), saved(image, "GIF", **others)],
        "BMP": [saved(image, "BMP"), saved(few, "BMP"), bmp_of(40, 8, 1, runs), bmp_of(40, 4, 2, runs)],
        "TIFF": tiffs + [saved(image, "TIFF", compression=name) for name in ("tiff_lzw", "packbits", "jpeg", "zstd")],
        "HEIC": [heic.getvalue()],
        "AVIF": [saved(image, "AVIF"), saved(image.convert("RGBA"), "AVIF"), saved(image, "AVIF", **others)],
    }


def fuzzed(source: bytes, chance: random.Random) -> bytes:
    """Bits turned, numbers set to what numbers of sizes must not be, pieces cut out, doubled or cut off."""
    data, numbers = bytearray(source), (0, 1, 2, 255, 256, 0x7FFF, 0xFFFF, 0x10000, 2**31 - 1, 2**31, 2**32 - 1)
    for _ in range(chance.choice((1, 2, 3, 8, 30))):
        at = chance.randrange(min(len(data), 400) if chance.random() < 0.6 else len(data))
        how, size = chance.random(), chance.choice((1, 2, 4, 8))
        if how < 0.4:
            data[at] ^= 1 << chance.randrange(8)
        elif how < 0.8:
            number = chance.choice(numbers) & ((1 << 8 * size) - 1)
            data[at : at + size] = number.to_bytes(size, chance.choice(("big", "little")))
        elif how < 0.9:
            other = chance.randrange(len(data))
            data[at : at + chance.choice((0, size))] = data[other : other + 3 * size]
        elif how < 0.95:
            data = data[: max(8, at)]
        elif len(data) > 100:
            del data[at : at + size]
    return bytes(data)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="bounds memory as Linux does")
def test_any_bytes_give_a_picture_or_a_hub_error() -> None:
    done = subprocess.run([sys.executable, "-c", FUZZ], capture_output=True, text=True, timeout=100, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WebP", "GIF", "BMP", "TIFF", "HEIC", "AVIF"])
def test_a_file_that_is_cut_off_is_never_called_one_of_another_kind(kind: str) -> None:
    for source in sources()[kind]:
        for size in range(32, len(source) * 3 // 4, max(1, len(source) // 16)):
            try:
                decode(source[:size])
            except HubError as error:
                assert error.message.startswith(f"image ({kind}) is cut off or damaged"), (size, error.message)
