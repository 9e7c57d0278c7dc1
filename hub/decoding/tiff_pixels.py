"""The samples of a TIFF picture, a band of rows at a time: strips and tiles, planes, predictors, any sample format.

Uncompressed and Deflate data are read here; LZW, PackBits, LZMA and Zstandard by libtiff, which is handed the packed
bytes as if they were an 8-bit grey picture, so that it only unpacks and does not interpret.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from hub.decoding import tiff_tags as tags
from hub.decoding.ranges import Kind
from hub.decoding.reading import NEARLY, CutOffError, GuardedFile, Reading, ReadingStoppedError
from hub.decoding.tiff_tags import Directory
from hub.texts import sentence

Samples = NDArray[Any]
Buffer = bytes | bytearray | NDArray[np.uint8]
RAW, LZW, PACKBITS, LZMA, ZSTD = 1, 5, 32_773, 34_925, 50_000
DEFLATE = (8, 32_946)
UNPACKED = (RAW, LZW, *DEFLATE, PACKBITS, LZMA, ZSTD)  # those whose samples are read here
CHUNK_BYTES = 4 * 2**20  # of unpacked data that are looked at together
BLOCK_BYTES = 400 * 2**20  # of unpacked data that must be in memory at once: a tile row, or a strip of libtiff's
MOST_PLANES = 4  # are read together: three colours and alpha
MOST_SAMPLES = 512  # a pixel: cameras of many bands have some hundreds
BITS_AT_ONCE = 2**19  # samples of odd sizes that are taken apart together; a multiple of 8
KINDS: dict[int, Kind] = {1: "uint", 2: "int", 3: "float", 4: "uint"}
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


@dataclass(frozen=True, slots=True)
class Layout:
    """How the samples lie in the file."""

    width: int
    height: int
    samples: int
    bits: int
    kind: Kind
    compression: int
    photometric: int
    planes: int  # as many as samples where each has its own, else 1
    predictor: int
    order: str
    reversed: bool  # the bits in each byte
    tiled: bool
    block_width: int
    block_height: int
    offsets: Samples
    lengths: Samples | None
    extra: tuple[int, ...]

    @property
    def row_bytes(self) -> int:
        """Of one row of one block."""
        return -(-self.block_width * (self.samples // self.planes) * self.bits // 8)

    @property
    def widening(self) -> int:
        """How many bytes a byte of the file takes in memory, at most."""
        return 1 if self.bits in (8, 16, 32, 64) else -(-8 * (1 if self.bits < 8 else 2) // self.bits)

    @property
    def across(self) -> int:
        return -(-self.width // self.block_width)

    @property
    def down(self) -> int:
        return -(-self.height // self.block_height)


def layout(page: Directory) -> Layout | None:
    """None for what is not described as samples of one size: it is somebody else's to read or refuse."""
    samples = page.number(tags.SAMPLES, 1)
    bits = set(page.tags.get(tags.BITS, np.array([1]))[:samples].tolist())
    formats = set(page.tags.get(tags.FORMAT, np.array([1]))[:samples].tolist())
    width, height = page.number(tags.WIDTH), page.number(tags.HEIGHT)
    if len(bits) != 1 or len(formats) != 1 or not formats <= set(KINDS) or not 1 <= samples <= 65_535:
        return None
    tiled = tags.TILE_WIDTH in page.tags or tags.TILE_OFFSETS in page.tags
    block = (page.number(tags.TILE_WIDTH), page.number(tags.TILE_HEIGHT))
    if not tiled:
        block = (width, min(page.number(tags.ROWS_PER_STRIP, height), height) or height)
    if min(*block, width, height) <= 0:
        return None
    offsets = page.tags.get(tags.TILE_OFFSETS if tiled else tags.STRIP_OFFSETS, page.tags.get(tags.STRIP_OFFSETS))
    lengths = page.tags.get(tags.TILE_BYTES if tiled else tags.STRIP_BYTES, page.tags.get(tags.STRIP_BYTES))
    if offsets is None:
        raise CutOffError("no data")
    return Layout(
        width, height, samples, bits.pop(), KINDS[formats.pop()], page.number(tags.COMPRESSION, 1),
        page.number(tags.PHOTOMETRIC, 1), samples if page.number(tags.PLANAR, 1) == 2 else 1,
        page.number(tags.PREDICTOR, 1),
        page.order, page.number(tags.FILL_ORDER, 1) == 2, tiled, *block, offsets, lengths,
        tuple(page.tags.get(tags.EXTRA, np.empty(0, int)).tolist()),
    )  # fmt: skip


def is_read(found: Layout) -> bool:
    """Whether `Pixels` reads such samples."""
    sizes = {"float": (16, 32, 64), "int": (8, 16, 32, 64), "uint": (*range(1, 17), 32, 64)}
    predicted = {1: True, 2: found.bits in (8, 16, 32, 64), 3: found.kind == "float"}
    return (
        found.compression in UNPACKED
        and found.samples <= MOST_SAMPLES
        and found.bits in sizes[found.kind]
        and predicted.get(found.predictor if found.compression not in (RAW, PACKBITS) else 1, False)
    )


class Pixels:
    """Goes over a picture's samples, as often as it is asked to."""

    def __init__(self, data: bytes, found: Layout, reading: Reading):
        self._data, self.layout, self._reading = data, found, reading
        self._missing = self._taken = 0
        per_row = found.across if found.tiled else 1
        streamed = found.compression in (RAW, *DEFLATE)
        rows = found.block_height if found.tiled or not streamed else 1
        piece = per_row * rows * found.row_bytes
        if piece * found.widening > BLOCK_BYTES:
            raise reading.unsupported(
                sentence("a TIFF stored in pieces of more than {most} MB", most=BLOCK_BYTES // 2**20)
            )
        # A piece of each plane that is shown; libtiff holds what it unpacked beside what it hands on.
        self.held_bytes = piece * (min(found.planes, MOST_PLANES) + (not streamed))

    def rows(self, wanted: tuple[int, ...]) -> Iterator[Samples]:
        """Bands of rows from the top, [rows, width, samples], the wanted samples only, in the machine's own order."""
        found = self.layout
        self._missing = self._taken = 0
        if found.planes > 1:
            for parts in zip(*(self._plane(number) for number in wanted), strict=True):
                yield np.concatenate(parts, axis=2)
        else:
            for part in self._plane(0):
                yield part[:, :, list(wanted)] if wanted != tuple(range(found.samples)) else part

    def _plane(self, plane: int) -> Iterator[Samples]:
        found = self.layout
        samples = found.samples // found.planes
        least = CHUNK_BYTES // found.widening
        for packed in self._tile_rows(plane) if found.tiled else _regrouped(self._strips(plane), least):
            for part in _bands(packed, found):
                self._reading.check_time()
                values = _values(part, found, part.shape[0] * part.shape[1], samples)
                if found.tiled:
                    values = values.reshape(found.across, -1, found.block_width, samples).transpose(1, 0, 2, 3)
                    values = values.reshape(values.shape[0], -1, samples)[:, : found.width]
                yield values

    # --- unpacking --------------------------------------------------------------------------------

    def _strips(self, plane: int) -> Iterator[bytes]:
        """Whole rows, in order; each plane's come in the same portions."""
        found = self.layout
        first, group = plane * found.down, list[int]()
        step = max(1, CHUNK_BYTES // found.widening // found.row_bytes)
        for number in range(found.down):
            rows = min(found.block_height, found.height - number * found.block_height)
            if found.compression == RAW or found.compression in DEFLATE:
                yield from self._streamed(first + number, rows * found.row_bytes, step * found.row_bytes)
                continue
            group.append(first + number)
            if len(group) * found.block_height >= step or number == found.down - 1:
                whole = (len(group) - 1) * found.block_height + rows
                yield self._through_libtiff(group, whole)
                group = []

    def _tile_rows(self, plane: int) -> Iterator[Buffer]:
        """The tiles that lie side by side, one after the other, without rows below the picture's edge."""
        found = self.layout
        size = found.block_height * found.row_bytes
        for row in range(found.down):
            start = (plane * found.down + row) * found.across
            numbers = list(range(start, start + found.across))
            shown = min(found.block_height, found.height - row * found.block_height) * found.row_bytes
            if found.compression == RAW or found.compression in DEFLATE:
                tiles = bytearray()
                for number in numbers:
                    left = shown
                    for part in self._streamed(number, size, CHUNK_BYTES):
                        tiles += part[:left]
                        left -= min(left, len(part))
                yield tiles
                del tiles
            else:
                unpacked = np.frombuffer(self._through_libtiff(numbers, found.across * found.block_height), np.uint8)
                yield unpacked.reshape(found.across, size)[:, :shown]

    def _packed(self, number: int, size: int) -> memoryview:
        """The bytes of one strip or tile as they are in the file. `size`: what it has unpacked."""
        found = self.layout
        if number >= len(found.offsets):
            raise CutOffError("a strip is not listed")
        start = int(found.offsets[number])
        listed = found.lengths is not None and number < len(found.lengths)
        length = int(found.lengths[number]) if listed and found.lengths is not None else 0
        if found.compression == RAW:
            length = size
        elif not listed:
            length = len(self._data) - start
        part = memoryview(self._data)[start : start + length] if start >= 0 else memoryview(b"")
        self._taken += len(part)
        if self._taken > 8 * len(self._data) + 2**20:
            raise ReadingStoppedError(sentence("points at the same bytes again and again"))
        return memoryview(bytes(part).translate(_REVERSED)) if found.reversed else part

    def _streamed(self, number: int, size: int, step: int) -> Iterator[bytes]:
        self._reading.check_time()
        packed = self._packed(number, size)
        unpacker = zlib.decompressobj() if self.layout.compression != RAW else None
        for start in range(0, size, step):
            wanted = min(step, size - start)
            if unpacker is None:
                part = bytes(packed[start : start + wanted])
            else:
                part, packed = _inflated(unpacker, packed, wanted, self._reading.check_time)
            yield part if len(part) == wanted else self._filled(part, wanted)

    def _filled(self, part: bytes, wanted: int) -> bytes:
        """What is there, and black for what is not, if that is little. Raises CutOffError."""
        found = self.layout
        self._missing += wanted - len(part)
        if self._missing > NEARLY * found.height * found.row_bytes * found.across:
            raise CutOffError("data is missing")
        return part + bytes(wanted - len(part))

    def _through_libtiff(self, numbers: list[int], rows: int) -> bytes:
        self._reading.check_time()
        found = self.layout
        parts = [bytes(self._packed(number, 0)) for number in numbers]
        grey = _grey_tiff(parts, found.row_bytes, found.block_height, rows, found.compression)
        with TiffImageFile(GuardedFile(grey, self._reading.check_time)) as image:
            image.load()
            return image.tobytes()


def _inflated(
    unpacker: Any, packed: memoryview, wanted: int, check_time: Callable[[], None]
) -> tuple[bytes, memoryview]:
    """Up to `wanted` bytes, and what is left of the packed ones; fewer where the stream ends or is damaged."""
    parts, left = list[bytes](), wanted
    while left and len(packed) and not unpacker.eof:
        check_time()  # blocks can be empty
        head = packed[:65_536]
        try:
            part = unpacker.decompress(head, left)
        except zlib.error:
            return b"".join(parts), packed[:0]
        parts.append(part)
        left -= len(part)
        packed = packed[len(head) - len(unpacker.unconsumed_tail) :]
    if left and not unpacker.eof:
        parts.append(unpacker.decompress(b"", left))
    return b"".join(parts), packed


def _regrouped(parts: Iterable[bytes], least: int) -> Iterator[bytes]:
    """The same bytes in pieces of at least so many, so that strips of one row cost little."""
    kept, size = list[bytes](), 0
    for part in parts:
        kept.append(part)
        size += len(part)
        if size >= least:
            yield kept[0] if len(kept) == 1 else b"".join(kept)
            kept, size = [], 0
    if kept:
        yield b"".join(kept)


def _bands(packed: Buffer, found: Layout) -> Iterator[NDArray[np.uint8]]:
    """Some rows at a time, [blocks side by side, rows, bytes]: what is made of samples takes several times as much."""
    blocks = found.across if found.tiled else 1
    whole = packed if isinstance(packed, np.ndarray) else np.frombuffer(packed, np.uint8)
    whole = whole.reshape(blocks, -1, found.row_bytes)
    together = blocks * found.row_bytes * found.widening * min(found.planes, MOST_PLANES)
    step = max(1, CHUNK_BYTES // together)
    for top in range(0, whole.shape[1], step):
        yield np.ascontiguousarray(whole[:, top : top + step])


def _grey_tiff(parts: list[bytes], width: int, per_strip: int, height: int, compression: int) -> bytes:
    """A little-endian TIFF of 8-bit grey with these strips in it."""
    count, at = len(parts), 8 + 2 + 10 * 12 + 4
    lists = at + 8 * count
    offsets = np.cumsum([lists, *map(len, parts)])[:-1].astype("<u4").tobytes()
    lengths = np.array([*map(len, parts)], "<u4").tobytes()
    listed = (at, at + 4 * count) if count > 1 else (lists, len(parts[0]))
    tags = (
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1),
        (273, 4, count, listed[0]), (277, 3, 1, 1), (278, 4, 1, per_strip), (279, 4, count, listed[1]), (284, 3, 1, 1),
    )  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"".join((head, bytes(4), offsets, lengths, *parts))


# --- samples --------------------------------------------------------------------------------------


def _values(packed: NDArray[np.uint8], found: Layout, rows: int, samples: int) -> Samples:
    """[rows, block width, samples], predictors undone."""
    width, count = found.block_width, found.block_width * samples
    predictor = found.predictor if found.compression not in (RAW, PACKBITS) else 1
    letter = {"uint": "u", "int": "i", "float": "f"}[found.kind]
    if found.bits not in (8, 16, 32, 64):
        return _unpacked_bits(packed, found, rows, count).reshape(rows, width, samples)
    size = found.bits // 8
    if predictor == 3:
        planes = packed.reshape(rows, count * size // samples, samples)
        planes = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(rows, size, count)
        values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
        return values.astype(f"f{size}").reshape(rows, width, samples)
    values = packed.reshape(-1).view(f"{found.order}{letter if predictor == 1 else 'u'}{size}")
    values = values.reshape(rows, width, samples)
    if predictor == 2:
        native = f"u{size}"
        return np.cumsum(values, axis=1, dtype=native).view(f"{letter}{size}")
    return values.astype(f"{letter}{size}", copy=False)


def _unpacked_bits(packed: NDArray[np.uint8], found: Layout, rows: int, count: int) -> NDArray[Any]:
    """Samples of 1 to 15 bits that lie close together, each row from a whole byte; some at a time, as each bit takes
    a byte on the way."""
    data = packed.reshape(rows, -1)
    values = np.empty((rows, count), np.uint8 if found.bits < 8 else np.uint16)
    down = max(1, BITS_AT_ONCE // count)
    for top in range(0, rows, down):
        for left in range(0, count, BITS_AT_ONCE):
            part = data[top : top + down, left * found.bits // 8 :]
            right = min(left + BITS_AT_ONCE, count)
            values[top : top + down, left:right] = _joined_bits(part, found.bits, right - left)
    return values


def _joined_bits(part: NDArray[np.uint8], size: int, count: int) -> NDArray[Any]:
    bits = np.unpackbits(part, axis=1, count=count * size)
    if size == 1:
        return bits
    room = 8 if size < 8 else 16
    padded = np.zeros((len(part), count, room), np.uint8)
    padded[..., room - size :] = bits.reshape(len(part), count, size)
    joined = np.packbits(padded, axis=-1)
    return joined[..., 0] if room == 8 else joined.view(">u2")[..., 0]
