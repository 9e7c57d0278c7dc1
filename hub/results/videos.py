"""What a `VideoOutput` holds: frames as they come, encoded as MP4 one by one, and the first of them as a still."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from hub.images import encode
from hub.results.result import Picture

FRAMES_MOST, LONGEST, SIDE_LEAST = 1000, 1280, 16
RATE_LEAST, RATE_MOST = 0.1, 60
MEDIA_TYPE = "video/mp4"
# Quick to make, and as sharp as people look; the table of contents first, so that it plays while it comes.
OPTIONS = {"preset": "superfast", "crf": "22"}
BT709, LIMITED = 1, 1  # how colours are written, said in the file: else players guess by its size


@dataclass(frozen=True, slots=True)
class Written:
    """A video that is there already: what is known of it, its still, and itself."""

    facts: dict[str, Any]
    files: tuple[Picture, Picture]


class Writer:
    """One video on its way to a file of its own, which `close` removes."""

    def __init__(self, rate: float):
        """Raises ValueError."""
        rate = float(rate)
        if not RATE_LEAST <= rate <= RATE_MOST:
            raise ValueError(f"{rate} frames a second; between {RATE_LEAST} and {RATE_MOST} are wanted")
        self.rate = rate
        self.frames = 0
        self._folder = tempfile.TemporaryDirectory(prefix="hub-video-")
        self._path = Path(self._folder.name) / "video.mp4"
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._still: Picture | None = None

    def add(self, image: Image.Image) -> None:
        """One more frame. Raises TypeError, ValueError."""
        import av

        if not isinstance(image, Image.Image):
            raise TypeError(f"a frame is a PIL image, got a {type(image).__name__}")
        if self.frames >= FRAMES_MOST:
            raise ValueError(f"there are more than {FRAMES_MOST} frames")
        if self._container is None:
            self._begin(image)
        elif image.size != self._first_size:
            raise ValueError(f"a frame is {image.size}, the first one was {self._first_size}")
        image = image if image.mode == "RGB" else image.convert("RGB")
        if image.size != self._size:
            image = image.resize(self._size, Image.Resampling.BICUBIC)
        frame = av.VideoFrame.from_image(image).reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.pts = self.frames
        self._container.mux(self._stream.encode(frame))
        self.frames += 1

    def _begin(self, image: Image.Image) -> None:
        import av

        self._first_size = image.size
        if min(image.size) < SIDE_LEAST:
            raise ValueError(f"frames are {image.size}; each side needs at least {SIDE_LEAST} px")
        scale = min(1.0, LONGEST / max(image.size))
        # H.264 keeps one colour for four pixels: sides are even.
        self._size = tuple(max(SIDE_LEAST, 2 * round(side * scale / 2)) for side in image.size)  # type: ignore[assignment]  # of two
        self._container = av.open(str(self._path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=_fraction(self.rate), options=OPTIONS)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = "yuv420p"
        context = self._stream.codec_context
        context.thread_count = 1
        context.color_primaries = context.color_trc = context.colorspace = BT709
        context.color_range = LIMITED
        still = image.convert("RGB")
        still = still if still.size == self._size else still.resize(self._size, Image.Resampling.BICUBIC)
        self._still = Picture(encode(still, "jpeg"), "image/jpeg", *self._size)

    def finish(self) -> Written:
        """The whole video. Raises ValueError."""
        if self._container is None or self._still is None:
            raise ValueError("there are no frames")
        self._container.mux(self._stream.encode())
        self._container.close()
        self._container = None
        width, height = self._size
        seconds = round(self.frames / self.rate, 3)
        facts = {"width": width, "height": height, "seconds": seconds, "frames": self.frames, "rate": self.rate}
        return Written(facts, (self._still, Picture(self._path.read_bytes(), MEDIA_TYPE, width, height)))

    def close(self) -> None:
        """Removes what was written."""
        if self._container is not None:
            self._container.close()
            self._container = None
        self._folder.cleanup()


def write(value: Any) -> tuple[dict[str, Any], tuple[Picture, Picture]]:
    """What is known of a page's `(frames, rate)`, its still, and the video. Raises TypeError, ValueError."""
    if isinstance(value, Written):
        return value.facts, value.files
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], Iterable):
        raise TypeError("(frames, frames a second) is wanted")
    frames, rate = value
    if not isinstance(rate, int | float) or isinstance(rate, bool) or not math.isfinite(rate):
        raise TypeError(f"frames a second are a number, got {rate!r}")
    writer = Writer(rate)
    try:
        for frame in frames:
            writer.add(frame)
        written = writer.finish()
        return written.facts, written.files
    finally:
        writer.close()


def _fraction(rate: float) -> Any:
    from fractions import Fraction

    return Fraction(rate).limit_denominator(1000)
