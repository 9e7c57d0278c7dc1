"""What any file that came in looks like: a picture itself, a video's first frame, a sound's wave."""

from __future__ import annotations

from PIL import Image

from hub.decoding.decode import LIMITS, decode
from hub.decoding.played import audio, media, video
from hub.decoding.reading import ImageLimits
from hub.errors import InputError

SECONDS_MOST, SAMPLE_RATE = 600.0, 8_000  # what is longer was refused before


def look_at(data: bytes, limits: ImageLimits = LIMITS, *, field: str | None = None) -> Image.Image:
    """A picture of the file, by its content. Raises HubError."""
    reader, _ = media.kind_of(data)
    name = field or "file"
    if not reader:
        return decode(data, limits, field=field)
    if reader in media.VIDEO_READERS:
        try:
            clip = video.read(data, limits, name=name, max_seconds=SECONDS_MOST, rate=1)
            return next(frame for _, frame in clip.frames())
        except InputError:
            pass  # a container of videos with a sound alone
    samples = audio.read(data, limits, name=name, max_seconds=SECONDS_MOST, sample_rate=SAMPLE_RATE)
    return audio.draw_wave(samples)
