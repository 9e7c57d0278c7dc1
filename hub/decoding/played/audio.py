"""A sound within bounds, as one float32 array: one channel, at the rate that is asked for, in [-1, 1]."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from hub.decoding.played import media
from hub.decoding.reading import ImageLimits
from hub.errors import InputError, UnsupportedMediaError
from hub.texts import sentence

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

CODECS = ("aac", "mp3", "mp3float", "flac", "vorbis", "opus", "alac")  # and pcm_*
RATE_MOST, CHANNELS_MOST = 384_000, 8
WAVE_SIZE = (960, 160)
INK, GROUND = "#0f9488", "#f1f5f9"  # seen on light and on dark pages


def read(data: bytes, limits: ImageLimits, *, name: str, max_seconds: float, sample_rate: int) -> NDArray[np.float32]:
    """The samples, read-only. Raises HubError."""
    media.check_size(data, limits, name, sentence("a sound"))
    with media.opened(data, name, videos_only=False) as container:
        stream = _stream(container, name)
        parts = _decoded(container, stream, name, max_seconds, sample_rate)
    samples = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if not samples.size:
        raise InputError("{name} has no sound in it. Choose another file and try again.", name=name, field=name)
    samples = np.asarray(np.clip(np.nan_to_num(samples, copy=False), -1, 1), np.float32)
    samples.flags.writeable = False
    return samples


def draw_wave(samples: NDArray[Any]) -> Image.Image:
    """The lowest and the highest sample of each column, as a line."""
    width, height = WAVE_SIZE
    edges = np.linspace(0, samples.size, width + 1).astype(int)
    image = Image.new("RGB", WAVE_SIZE, GROUND)
    draw = ImageDraw.Draw(image)
    for column, (start, end) in enumerate(pairwise(edges)):
        part = samples[start : max(end, start + 1)]
        top, bottom = ((1 - float(level)) / 2 * (height - 1) for level in (part.max(), part.min()))
        draw.line((column, top, column, max(bottom, top + 1)), fill=INK)
    return image


def _stream(container: InputContainer, name: str) -> AudioStream:
    if not container.streams.audio:
        raise InputError("{name} has no sound in it. Choose another file and try again.", name=name, field=name)
    stream = container.streams.audio[0]
    context = stream.codec_context
    codec = context.codec.canonical_name
    if codec not in CODECS and not codec.startswith("pcm_"):
        raise UnsupportedMediaError(
            "{name} is coded as {codec}; {listed} are read. Convert it to WAV or MP3 and try again.",
            name=name,
            codec=codec[:20],
            listed="PCM, MP3, AAC, ALAC, FLAC, Vorbis, Opus",
            field=name,
        )
    if not 0 < context.sample_rate <= RATE_MOST or not 0 < context.channels <= CHANNELS_MOST:
        raise ValueError("a sample rate or a number of channels that no honest file has")
    context.thread_count = 1
    return stream


def _decoded(
    container: InputContainer, stream: AudioStream, name: str, max_seconds: float, sample_rate: int
) -> list[NDArray[Any]]:
    import av

    resampler = av.AudioResampler(format="fltp", rate=sample_rate)
    most, length, parts = round((max_seconds + 0.05) * sample_rate), 0, list[NDArray[Any]]()
    for frame in container.decode(stream):
        frame.pts = None  # gaps in the times are no silence
        for one in resampler.resample(frame):
            parts.append(one.to_ndarray().mean(0, dtype=np.float32))  # the channels' average
            length += parts[-1].size
        if length > most:
            declared = float((stream.duration or 0) * (stream.time_base or 0))
            raise media.too_long(name, max(declared, length / sample_rate), max_seconds)
    parts += [one.to_ndarray().mean(0, dtype=np.float32) for one in resampler.resample(None)]
    return parts
