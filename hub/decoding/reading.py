"""What all readers of pictures share: their limits, what they hand on, and the two ways in which they refuse a file."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

from hub.decoding import budget
from hub.errors import InputError, TooLargeError, UnsupportedMediaError
from hub.texts import Sentence, sentence

NEARLY = 0.02  # of a picture may be missing at its end: servers and cameras lose last bytes, readers show the rest


@dataclass(frozen=True, slots=True)
class ImageLimits:
    max_bytes: int = 20 * 2**20
    max_pixels: int = 50_000_000
    max_side: int = 16_384
    min_side: int = 8
    max_cpu_s: float = 10.0  # one thread's time; a hostile file can ask for hours


@dataclass(frozen=True, slots=True)
class Enough:
    """Pixels that are enough of a picture: a reader that can skip the rest makes it no smaller than that."""

    shorter: int  # least of its shorter side
    longer: int

    def divisor(self, size: tuple[int, int], divisors: tuple[int, ...]) -> int:
        """The largest of these by which both sides can be divided; 1 where none fits."""
        fits = (n for n in divisors if min(size) >= n * self.shorter and max(size) >= n * self.longer)
        return max(fits, default=1)


@dataclass(frozen=True, slots=True)
class RawPicture:
    """A file's first picture as its reader has it: 8 bits, any mode of Pillow's, not turned, not yet sRGB."""

    image: Image.Image
    profile: bytes | None = None  # ICC
    turn: int = 1  # EXIF's number for how to turn it; 1: it is upright


class ReadingStoppedError(OSError):
    """A file that asks for more work than any honest one; its one argument is a sentence for people."""


class CutOffError(OSError):
    """A file that is not all there."""


class LookedError(Exception):
    """Ends a reader that was to look only, with the pixels that its picture counts as."""

    def __init__(self, pixels: int):
        super().__init__(pixels)
        self.pixels = pixels


@dataclass(slots=True)
class Reading:
    """One file on its way: what it is called, what it may cost, and what its reader remarks on."""

    name: str
    kind: str
    limits: ImageLimits
    enough: Enough | None = None  # None: every pixel is wanted
    remarks: list[Sentence] = field(default_factory=list)
    looks_only: bool = False  # to hear what a picture will take, nothing is decoded
    deadline: float = 0.0

    def __post_init__(self) -> None:
        self.deadline = time.thread_time() + self.limits.max_cpu_s

    def remark(self, template: str, **values: object) -> None:
        self.remarks.append(sentence(template, name=self.name, **values))

    def check_time(self) -> None:
        if time.thread_time() > self.deadline:
            raise ReadingStoppedError(
                sentence("takes more than {seconds:g} seconds to read", seconds=self.limits.max_cpu_s)
            )

    def admit(
        self, size: tuple[int, int], mode: str, beside: int = 0, *, reduced: tuple[int, int] | None = None
    ) -> None:
        """Before anything is decoded: within the limits, and there is room for it, and for so many bytes that are
        held beside it meanwhile. `reduced`: what of its size is really made. Raises a HubError."""
        self.check_size(*size)
        if self.looks_only:
            raise LookedError(budget.weigh(reduced or size, mode, beside))
        budget.ask(reduced or size, mode, beside)

    def check_size(self, width: int, height: int) -> None:
        """Raises TooLargeError or InputError."""
        limits, values = self.limits, {"name": self.name, "width": width, "height": height}
        if width * height > limits.max_pixels:
            raise TooLargeError(
                "{name} is {width} x {height} = {size:.1f} megapixels; at most {most} megapixels are read. "
                "Make it smaller and try again.",
                field=None, **values, size=width * height / 1e6, most=mega(limits.max_pixels, 10**6),
            )  # fmt: skip
        if max(width, height) > limits.max_side:
            raise TooLargeError(
                "{name} is {width} x {height} pixels; at most {most} a side are read. Make it smaller and try again.",
                field=None, **values, most=limits.max_side,
            )  # fmt: skip
        if min(width, height) < limits.min_side:
            raise InputError(
                "{name} is {width} x {height} pixels; at least {least} pixels a side are needed. "
                "Choose a larger picture.",
                field=None, **values, least=limits.min_side,
            )  # fmt: skip

    def unsupported(self, what: Sentence) -> UnsupportedMediaError:
        """A picture of a known format, but of a kind of it that is not read."""
        return UnsupportedMediaError(
            "{name} is {what}, which is not read here. Save it as a PNG or JPEG of 8 bits and try again.",
            name=self.name,
            what=what,
        )


class GuardedFile(io.BytesIO):
    """Bounds what Pillow's parsers do: TIFF tags that name the same bytes a thousand times, GIF comments
    joined in quadratic time, JPEGs of a million scans all come back here for the next bytes."""

    def __init__(self, data: bytes, check_time: Callable[[], None]):
        super().__init__(data)
        self._bytes_left = 8 * len(data) + 2**20
        self._check_time = check_time

    def read(self, size: int | None = -1, /) -> bytes:
        if self._bytes_left < 0:
            raise ReadingStoppedError(sentence("points at the same bytes again and again"))
        self._check_time()
        start = self.tell()
        length = len(self.getbuffer()) - start if size is None or size < 0 else size
        self._bytes_left -= max(0, min(length, len(self.getbuffer()) - start))
        return super().read(size)


def plain(image: Image.Image) -> Image.Image:
    """A loaded picture without its file. The pixels are shared, not copied: one that is large takes 200 MB."""
    return image._new(image.im)


def mega(number: int, unit: int = 2**20) -> str:
    return f"{number / unit:.1f}".removesuffix(".0")
