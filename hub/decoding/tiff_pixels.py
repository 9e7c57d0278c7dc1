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


def read_layout(page: Directory) -> Layout | None:
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


def is_read(layout: Layout) -> bool:
    """Whether `Pixels` reads such samples."""
    sizes = {"float": (16, 32, 64), "int": (8, 16, 32, 64), "uint": (*range(1, 17), 32, 64)}
    predicted = {1: True, 2: layout.bits in (8, 16, 32, 64), 3: layout.kind == "float"}
    return (
        layout.compression in UNPACKED
        and layout.samples <= MOST_SAMPLES
        and layout.bits in sizes[layout.kind]
        and predicted.get(layout.predictor if layout.compression not in (RAW, PACKBITS) else 1, False)
    )


class Pixels:
    """Goes over a picture's samples, as often as it is asked to."""

    def __init__(self, data: bytes, layout: Layout, reading: Reading):
        self._data, self.layout, self._reading = data, layout, reading
        self._missing = self._bytes_taken = 0
        per_row = layout.across if layout.tiled else 1
        streamed = layout.compression in (RAW, *DEFLATE)
        rows = layout.block_height if layout.tiled or not streamed else 1
        piece = per_row * rows * layout.row_bytes
        if piece * layout.widening > BLOCK_BYTES:
            raise reading.unsupported(
                sentence("a TIFF stored in pieces of more than {most} MB", most=BLOCK_BYTES // 2**20)
            )
        # A piece of each plane that is shown; libtiff holds what it unpacked beside what it hands on.
        self.held_bytes = piece * (min(layout.planes, MOST_PLANES) + (not streamed))

    def rows(self, channels: tuple[int, ...]) -> Iterator[Samples]:
        """Bands of rows from the top, [rows, width, samples], the wanted samples only, in the machine's own order."""
        layout = self.layout
        self._missing = self._bytes_taken = 0
        if layout.planes > 1:
            for parts in zip(*(self._plane(number) for number in channels), strict=True):
                yield np.concatenate(parts, axis=2)
        else:
            for part in self._plane(0):
                yield part[:, :, list(channels)] if channels != tuple(range(layout.samples)) else part

    def _plane(self, plane: int) -> Iterator[Samples]:
        layout = self.layout
        samples = layout.samples // layout.planes
        least = CHUNK_BYTES // layout.widening
        for packed in self._tile_rows(plane) if layout.tiled else _regroup(self._strips(plane), least):
            for part in _bands(packed, layout):
                self._reading.check_time()
                values = _values(part, layout, part.shape[0] * part.shape[1], samples)
                if layout.tiled:
                    values = values.reshape(layout.across, -1, layout.block_width, samples).transpose(1, 0, 2, 3)
                    values = values.reshape(values.shape[0], -1, samples)[:, : layout.width]
                yield values

    # --- unpacking --------------------------------------------------------------------------------

    def _strips(self, plane: int) -> Iterator[bytes]:
        """Whole rows, in order; each plane's come in the same portions."""
        layout = self.layout
        first, group = plane * layout.down, list[int]()
        step = max(1, CHUNK_BYTES // layout.widening // layout.row_bytes)
        for number in range(layout.down):
            rows = min(layout.block_height, layout.height - number * layout.block_height)
            if layout.compression == RAW or layout.compression in DEFLATE:
                yield from self._unpack_in_steps(first + number, rows * layout.row_bytes, step * layout.row_bytes)
                continue
            group.append(first + number)
            if len(group) * layout.block_height >= step or number == layout.down - 1:
                whole = (len(group) - 1) * layout.block_height + rows
                yield self._unpack_by_libtiff(group, whole)
                group = []

    def _tile_rows(self, plane: int) -> Iterator[Buffer]:
        """The tiles that lie side by side, one after the other, without rows below the picture's edge."""
        layout = self.layout
        size = layout.block_height * layout.row_bytes
        for row in range(layout.down):
            start = (plane * layout.down + row) * layout.across
            numbers = list(range(start, start + layout.across))
            visible_bytes = min(layout.block_height, layout.height - row * layout.block_height) * layout.row_bytes
            if layout.compression == RAW or layout.compression in DEFLATE:
                tiles = bytearray()
                for number in numbers:
                    room = visible_bytes
                    for part in self._unpack_in_steps(number, size, CHUNK_BYTES):
                        tiles += part[:room]
                        room -= min(room, len(part))
                yield tiles
                del tiles
            else:
                unpacked = np.frombuffer(
                    self._unpack_by_libtiff(numbers, layout.across * layout.block_height), np.uint8
                )
                yield unpacked.reshape(layout.across, size)[:, :visible_bytes]

    def _packed_bytes(self, number: int, size: int) -> memoryview:
        """The bytes of one strip or tile as they are in the file. `size`: what it has unpacked."""
        layout = self.layout
        if number >= len(layout.offsets):
            raise CutOffError("a strip is not listed")
        start = int(layout.offsets[number])
        has_length = layout.lengths is not None and number < len(layout.lengths)
        length = int(layout.lengths[number]) if has_length and layout.lengths is not None else 0
        if layout.compression == RAW:
            length = size
        elif not has_length:
            length = len(self._data) - start
        part = memoryview(self._data)[start : start + length] if start >= 0 else memoryview(b"")
        self._bytes_taken += len(part)
        if self._bytes_taken > 8 * len(self._data) + 2**20:
            raise ReadingStoppedError(sentence("points at the same bytes again and again"))
        return memoryview(bytes(part).translate(_REVERSED)) if layout.reversed else part

    def _unpack_in_steps(self, number: int, size: int, step: int) -> Iterator[bytes]:
        self._reading.check_time()
        packed = self._packed_bytes(number, size)
        unpacker = zlib.decompressobj() if self.layout.compression != RAW else None
        for start in range(0, size, step):
            length = min(step, size - start)
            if unpacker is None:
                part = bytes(packed[start : start + length])
            else:
                part, packed = _inflate(unpacker, packed, length, self._reading.check_time)
            yield part if len(part) == length else self._fill_up(part, length)

    def _fill_up(self, part: bytes, length: int) -> bytes:
        """What is there, and black for what is not, if that is little. Raises CutOffError."""
        layout = self.layout
        self._missing += length - len(part)
        if self._missing > NEARLY * layout.height * layout.row_bytes * layout.across:
            raise CutOffError("data is missing")
        return part + bytes(length - len(part))

    def _unpack_by_libtiff(self, numbers: list[int], rows: int) -> bytes:
        self._reading.check_time()
        layout = self.layout
        parts = [bytes(self._packed_bytes(number, 0)) for number in numbers]
        grey = _grey_tiff(parts, layout.row_bytes, layout.block_height, rows, layout.compression)
        with TiffImageFile(GuardedFile(grey, self._reading.check_time)) as image:
            image.load()
            return image.tobytes()


def _inflate(unpacker: Any, packed: memoryview, most: int, check_time: Callable[[], None]) -> tuple[bytes, memoryview]:
    """Up to `most` bytes, and what is left of the packed ones; fewer where the stream ends or is damaged."""
    parts, room = list[bytes](), most
    while room and len(packed) and not unpacker.eof:
        check_time()  # blocks can be empty
        head = packed[:65_536]
        try:
            part = unpacker.decompress(head, room)
        except zlib.error:
            return b"".join(parts), packed[:0]
        parts.append(part)
        room -= len(part)
        packed = packed[len(head) - len(unpacker.unconsumed_tail) :]
    if room and not unpacker.eof:
        parts.append(unpacker.decompress(b"", room))
    return b"".join(parts), packed


def _regroup(parts: Iterable[bytes], least: int) -> Iterator[bytes]:
    """The same bytes in pieces of at least so many, so that strips of one row cost little."""
    group, size = list[bytes](), 0
    for part in parts:
        group.append(part)
        size += len(part)
        if size >= least:
            yield group[0] if len(group) == 1 else b"".join(group)
            group, size = [], 0
    if group:
        yield b"".join(group)


def _bands(packed: Buffer, layout: Layout) -> Iterator[NDArray[np.uint8]]:
    """Some rows at a time, [blocks side by side, rows, bytes]: what is made of samples takes several times as much."""
    blocks = layout.across if layout.tiled else 1
    whole = packed if isinstance(packed, np.ndarray) else np.frombuffer(packed, np.uint8)
    whole = whole.reshape(blocks, -1, layout.row_bytes)
    together = blocks * layout.row_bytes * layout.widening * min(layout.planes, MOST_PLANES)
    step = max(1, CHUNK_BYTES // together)
    for top in range(0, whole.shape[1], step):
        yield np.ascontiguousarray(whole[:, top : top + step])


def _grey_tiff(parts: list[bytes], width: int, per_strip: int, height: int, compression: int) -> bytes:
    """A little-endian TIFF of 8-bit grey with these strips in it."""
    count, at = len(parts), 8 + 2 + 10 * 12 + 4
    lists = at + 8 * count
    offsets = np.cumsum([lists, *map(len, parts)])[:-1].astype("<u4").tobytes()
    lengths = np.array([*map(len, parts)], "<u4").tobytes()
    fields = (at, at + 4 * count) if count > 1 else (lists, len(parts[0]))
    tags = (
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, compression), (262, 3, 1, 1),
        (273, 4, count, fields[0]), (277, 3, 1, 1), (278, 4, 1, per_strip), (279, 4, count, fields[1]), (284, 3, 1, 1),
    )  # fmt: skip
    head = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"".join((head, bytes(4), offsets, lengths, *parts))


# --- samples --------------------------------------------------------------------------------------


def _values(packed: NDArray[np.uint8], layout: Layout, rows: int, samples: int) -> Samples:
    """[rows, block width, samples], predictors undone."""
    width, count = layout.block_width, layout.block_width * samples
    predictor = layout.predictor if layout.compression not in (RAW, PACKBITS) else 1
    letter = {"uint": "u", "int": "i", "float": "f"}[layout.kind]
    if layout.bits not in (8, 16, 32, 64):
        return _unpack_bits(packed, layout, rows, count).reshape(rows, width, samples)
    size = layout.bits // 8
    if predictor == 3:
        planes = packed.reshape(rows, count * size // samples, samples)
        planes = np.cumsum(planes, axis=1, dtype=np.uint8).reshape(rows, size, count)
        values = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(f">f{size}")
        return values.astype(f"f{size}").reshape(rows, width, samples)
    values = packed.reshape(-1).view(f"{layout.order}{letter if predictor == 1 else 'u'}{size}")
    values = values.reshape(rows, width, samples)
    if predictor == 2:
        native = f"u{size}"
        return np.cumsum(values, axis=1, dtype=native).view(f"{letter}{size}")
    return values.astype(f"{letter}{size}", copy=False)


def _unpack_bits(packed: NDArray[np.uint8], layout: Layout, rows: int, count: int) -> NDArray[Any]:
    """Samples of 1 to 15 bits that lie close together, each row from a whole byte; some at a time, as each bit takes
    a byte on the way."""
    data = packed.reshape(rows, -1)
    values = np.empty((rows, count), np.uint8 if layout.bits < 8 else np.uint16)
    down = max(1, BITS_AT_ONCE // count)
    for top in range(0, rows, down):
        for left in range(0, count, BITS_AT_ONCE):
            part = data[top : top + down, left * layout.bits // 8 :]
            right = min(left + BITS_AT_ONCE, count)
            values[top : top + down, left:right] = _join_bits(part, layout.bits, right - left)
    return values


def _join_bits(part: NDArray[np.uint8], size: int, count: int) -> NDArray[Any]:
    bits = np.unpackbits(part, axis=1, count=count * size)
    if size == 1:
        return bits
    room = 8 if size < 8 else 16
    padded = np.zeros((len(part), count, room), np.uint8)
    padded[..., room - size :] = bits.reshape(len(part), count, size)
    packed = np.packbits(padded, axis=-1)
    return packed[..., 0] if room == 8 else packed.view(">u2")[..., 0]
