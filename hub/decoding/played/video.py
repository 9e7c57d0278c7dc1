"""A video within bounds, frame by frame: upright RGB pictures, few a second, never more than one decoded at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from PIL import Image

from hub.decoding import budget
from hub.decoding.played import media
from hub.decoding.reading import ImageLimits, mega
from hub.errors import InputError, TooLargeError, UnsupportedMediaError
from hub.texts import sentence

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

CODECS = ("h264", "hevc", "vp8", "vp9", "av1", "mpeg4")
LONGEST = 1280  # px: frames come smaller, which suits every network here and costs a tenth of 4K
PIXELS_MOST = 4096 * 2304
SIDE_LEAST = 8
DECODED_MOST = 130  # frames for each second that may be given: phones record 120
CPU_SHARE = 1.0  # of a core, while a video would play: 4K takes half of that
IN_WORK = 6  # frames that a run has open at once
TURNS = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, -180: Image.Transpose.ROTATE_180,
         270: Image.Transpose.ROTATE_270, -90: Image.Transpose.ROTATE_270}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Clip:
    """A checked video, as `prepare` and `present` get it."""

    data: bytes
    name: str  # of the input, for what goes wrong later
    seconds: float
    size: tuple[int, int]  # width and height of the frames that come
    rate: float  # frames a second that come, at most
    count: int  # of them, about
    decoded_most: int
    cpu_s: float  # of one core, to decode all of it

    def frames(self) -> Iterator[tuple[float, Image.Image]]:
        """Seconds from the start, and the picture there. Raises HubError for a video that is damaged further on."""
        with media.opened(self.data, self.name, videos_only=True) as container:
            stream = _stream(container, self.name, PIXELS_MOST)
            yield from self._sampled(container, stream)

    def _sampled(self, container: InputContainer, stream: VideoStream) -> Iterator[tuple[float, Image.Image]]:
        begin, due, given = None, 0, 0
        gap = float(1 / Fraction(stream.average_rate)) if stream.average_rate else 1 / 25
        for number, frame in enumerate(_timed(container.decode(stream), self.name, self.cpu_s)):
            if number >= self.decoded_most:
                raise _too_many(self.name, self.decoded_most)
            at = frame.time if frame.time is not None else number * gap
            begin = at if begin is None else begin
            place = int(max(0.0, at - begin + gap / 4) * self.rate)  # which of the frames that are due this one is
            if place < due or given > self.count:
                continue
            yield max(0.0, at - begin), self._picture(frame)
            given, due = given + 1, place + 1
        if not given:
            raise InputError(
                "{name} has no picture that can be read. Save it anew and try again.", name=self.name, field=self.name
            )

    def _picture(self, frame: Any) -> Image.Image:
        turn = TURNS.get(round(frame.rotation))
        width, height = self.size if turn in (None, Image.Transpose.ROTATE_180) else self.size[::-1]
        image: Image.Image = frame.to_image(width=width, height=height)
        return image.transpose(turn) if turn is not None else image


def read(data: bytes, limits: ImageLimits, *, name: str, max_seconds: float, rate: float) -> Clip:
    """Checks a video by what it declares and by its packets' times; decodes its first frame. Raises HubError."""
    media.check_size(data, limits, name, sentence("a video"))
    most = min(limits.max_pixels, PIXELS_MOST)
    with media.opened(data, name, videos_only=True) as container:
        stream = _stream(container, name, most)
        seconds, packets = _measure(container, stream)
        if seconds > max_seconds + 0.05:
            raise media.too_long(name, seconds, max_seconds)
        decoded_most = round(DECODED_MOST * max_seconds)
        if packets > decoded_most:
            raise _too_many(name, decoded_most)
        container.seek(0)
        size = _size(container, stream, name)
    budget.reserve(budget.weigh(size) * IN_WORK)
    count = max(1, min(packets, round(seconds * rate + 0.499)))
    cpu_s = limits.max_cpu_s + CPU_SHARE * max_seconds
    return Clip(data, name, seconds, size, rate, count, decoded_most, cpu_s)


def _timed(frames: Iterator[Any], name: str, cpu_s: float) -> Iterator[Any]:
    """The frames, for as long as they cost no more than that. Raises InputError."""
    spent_s = 0.0
    while True:
        begin = time.thread_time()
        frame = next(frames, None)
        spent_s += time.thread_time() - begin
        if frame is None:
            return
        if spent_s > cpu_s:
            raise InputError(
                "{name} takes more than {most:.0f} s to decode. Make its picture smaller and try again.",
                name=name,
                most=cpu_s,
                field=name,
            )
        yield frame


def _stream(container: InputContainer, name: str, pixels_most: int) -> VideoStream:
    """The first video stream, ready to be decoded. Raises HubError."""
    if not container.streams.video:
        raise InputError("{name} has no pictures: it is a sound. Choose a video and try again.", name=name, field=name)
    stream = container.streams.video[0]
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec not in CODECS:
        raise UnsupportedMediaError(
            "{name} is coded as {codec}; {listed} are read. Convert it to MP4 (H.264) and try again.",
            name=name,
            codec=codec[:20],
            listed="H.264, HEVC, VP8, VP9, AV1, MPEG-4",
            field=name,
        )
    if context.width * context.height > pixels_most:
        raise TooLargeError(
            "{name} has {size} megapixels a frame; at most {most} are read. Make it smaller and try again.",
            name=name,
            size=mega(context.width * context.height, 10**6),
            most=mega(pixels_most, 10**6),
            field=name,
        )
    context.thread_count = 1  # the other cores are for models
    # Frames may be larger than the file declares; FFmpeg asks before it makes room for one.
    context.options = {"max_pixels": str(pixels_most)}
    return stream


def _measure(container: InputContainer, stream: VideoStream) -> tuple[float, int]:
    """Seconds and frames by the packets: what the file declares may be missing or wrong."""
    first, last, packets, base = None, 0, 0, stream.time_base or Fraction(1, 1000)
    for packet in container.demux(stream):
        if not packet.size:
            continue
        packets += 1
        if packet.pts is not None:
            first = packet.pts if first is None else min(first, packet.pts)
            last = max(last, packet.pts + (packet.duration or 0))
    if not packets:
        raise ValueError("there are no packets")
    if first is None:
        return packets * float(1 / Fraction(stream.average_rate or 25)), packets
    return max(0.0, float((last - first) * base)), packets


def _size(container: InputContainer, stream: VideoStream, name: str) -> tuple[int, int]:
    """Width and height of the frames as they will come, by the first one."""
    frame = next(iter(container.decode(stream)), None)
    if frame is None:
        raise ValueError("there is no frame")
    stretch = float(stream.sample_aspect_ratio or 1) or 1.0
    stretch = stretch if 0.25 <= stretch <= 4 else 1.0
    width, height = frame.width * stretch, float(frame.height)
    if TURNS.get(round(frame.rotation)) in (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_270):
        width, height = height, width
    if min(width, height) < SIDE_LEAST:
        raise InputError(
            "{name} is {width:.0f} x {height:.0f} px; each side needs at least {least} px.",
            name=name,
            width=width,
            height=height,
            least=SIDE_LEAST,
            field=name,
        )
    scale = min(1.0, LONGEST / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _too_many(name: str, most: int) -> TooLargeError:
    return TooLargeError(
        "{name} has more than {most} frames, which is what is read. Cut it and try again.",
        name=name,
        most=most,
        field=name,
    )
