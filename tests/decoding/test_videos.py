"""Videos and sounds from anywhere: what is read, how it is sampled, and what is refused before it costs anything."""

from __future__ import annotations

import io
import random
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.decoding import stills
from hub.decoding.decode import ImageLimits
from hub.decoding.played import audio, mp4, video
from hub.errors import HubError, InputError, TooLargeError, UnsupportedMediaError
from tests.fakes import sound_file, video_file

FILM = video_file((64, 48), seconds=2, rate=10)


def read(data: bytes, **changes: Any) -> video.Clip:
    return video.read(data, ImageLimits(), name="film", **{"max_seconds": 10.0, "rate": 5.0, **changes})


def film_as(format: str, codec: str, size: tuple[int, int] = (64, 48), rotation: int = 0, frames: int = 10) -> bytes:
    """A video in another container, by another encoder; turned as phones say it."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format=format) as container:
        stream: Any = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for number in range(frames):
            frame = av.VideoFrame.from_image(Image.new("RGB", size, (number * 20, 0, 0)))
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize(
    ("format", "codec"),
    [("mp4", "libx264"), ("mov", "libx264"), ("webm", "libvpx"), ("matroska", "libvpx-vp9"), ("mp4", "mpeg4")],
)
def test_usual_videos_are_read(format: str, codec: str) -> None:
    clip = read(film_as(format, codec))
    assert clip.size == (64, 48) and clip.seconds == pytest.approx(1.0, abs=0.15)
    assert [frame.size for _, frame in clip.frames()] == [(64, 48)] * 5


@pytest.mark.parametrize("rate", [0.5, 1, 3, 5, 10, 30])
def test_frames_come_evenly_and_no_more_than_are_asked_for(rate: float) -> None:
    times = [at for at, _ in read(FILM, rate=rate).frames()]
    assert len(times) == read(FILM, rate=rate).count == min(20, round(2 * rate))
    assert times[0] == 0 and all(b - a >= min(0.1, 0.7 / rate) for a, b in pairwise(times))


def test_frames_come_no_larger_than_networks_need() -> None:
    clip = read(film_as("mp4", "libx264", (1920, 1080), frames=2))
    assert clip.size == (1280, 720) == next(clip.frames())[1].size


def test_a_clip_can_be_looked_at_twice() -> None:
    clip = read(FILM)
    first, second = ([np.asarray(frame).mean() for _, frame in clip.frames()] for _ in range(2))
    assert first == second and first == sorted(first)


def test_a_file_that_says_little_of_itself_is_measured() -> None:
    # As browsers record: WebM that is written while it comes has no duration.
    data = film_as("webm", "libvpx")
    assert read(data).count == 5
    with pytest.raises(TooLargeError, match=r"film lasts 1\.0 s; at most 0\.5 s are read\. Cut it and try again\."):
        read(data, max_seconds=0.5)


def with_sample_count(count: int) -> bytes:
    """A film of two seconds that declares so many samples of one byte each."""
    data, at = bytearray(FILM), FILM.index(b"stsz")
    data[at + 8 : at + 16] = struct.pack(">II", 1, count)
    return bytes(data)


@pytest.mark.parametrize("data", [with_sample_count(2**32 - 1), with_sample_count(300_000)])
def test_tables_of_billions_are_not_built(data: bytes) -> None:
    begin = time.process_time()
    with pytest.raises(mp4.TablesError):
        mp4.check_tables(data)
    with pytest.raises(InputError, match="cut off or damaged"):
        read(data)
    assert time.process_time() - begin < 5


def test_boxes_that_hold_themselves_end() -> None:
    box = struct.pack(">I4s", 16, b"moov") + struct.pack(">I4s", 0, b"trak")
    mp4.check_tables(box * 200)
    with pytest.raises(mp4.TablesError):
        mp4.check_tables(struct.pack(">I4s", 8, b"free") * (mp4.BOXES_MOST + 1))


def test_what_declares_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    limits = ImageLimits(max_pixels=64 * 48 - 1)
    with pytest.raises(TooLargeError, match="megapixels a frame"):
        video.read(FILM, limits, name="film", max_seconds=10, rate=5)


def test_what_costs_more_than_it_may_is_refused() -> None:
    clip = replace(read(FILM), cpu_s=0.0)
    with pytest.raises(InputError, match="film takes more than 0 s to decode"):
        list(clip.frames())


def test_other_codecs_and_lists_of_parts_are_refused() -> None:
    with pytest.raises(UnsupportedMediaError, match="film is coded as mjpeg"):
        read(_mjpeg())
    with pytest.raises(UnsupportedMediaError, match="film looks like text"):
        read(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    with pytest.raises(UnsupportedMediaError):
        read(b"ffconcat version 1.0\nfile /etc/passwd\n")


def _mjpeg() -> bytes:
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream: Any = container.add_stream("mjpeg", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        container.mux(stream.encode(av.VideoFrame.from_image(Image.new("RGB", (64, 48)))))
        container.mux(stream.encode())
    return file.getvalue()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    "make", [lambda: FILM, lambda: film_as("webm", "libvpx"), sound_file], ids=["mp4", "webm", "wav"]
)
def test_noise_is_an_answer_or_an_error_of_ours(make: Callable[[], bytes], seed: int) -> None:
    noise, data = random.Random(seed), bytearray(make())
    for _ in range(len(data) // 60):
        data[noise.randrange(12, len(data))] = noise.randrange(256)
    for look in (
        lambda: [*read(bytes(data)).frames()],
        lambda: audio.read(bytes(data), ImageLimits(), name="sound", max_seconds=10, sample_rate=8_000),
        lambda: stills.look_at(bytes(data)),
    ):
        try:
            look()
        except HubError as error:
            assert error.message


def test_a_sound_is_one_channel_at_the_rate_that_is_asked_for() -> None:
    samples = audio.read(sound_file(1, 22_050), ImageLimits(), name="sound", max_seconds=10, sample_rate=16_000)
    assert samples.dtype == np.float32 and abs(samples.size - 16_000) < 50 and not samples.flags.writeable
    assert float(np.abs(samples).max()) == pytest.approx(0.5, abs=0.02)


def test_everything_has_a_still() -> None:
    assert stills.look_at(FILM).size == (64, 48)
    assert stills.look_at(sound_file()).size == audio.WAVE_SIZE
