"""What an `AudioOutput` holds: samples as a WAV file, with a drawing of the wave."""

from __future__ import annotations

import io
import wave
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hub.decoding.played.audio import draw_wave
from hub.images import encode
from hub.results.result import Picture

SECONDS_MOST = 600
RATE_LEAST, RATE_MOST = 4_000, 192_000
MEDIA_TYPE = "audio/wav"


def write(value: Any) -> tuple[dict[str, Any], tuple[Picture, Picture]]:
    """A page's `(samples, sample_rate)`: what is known of it, the drawing, the sound. Raises TypeError, ValueError."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise TypeError("(samples, sample_rate) is wanted")
    samples, rate = np.asarray(value[0]), value[1]
    if not isinstance(rate, int) or isinstance(rate, bool) or not RATE_LEAST <= rate <= RATE_MOST:
        raise ValueError(f"the sample rate is a whole number from {RATE_LEAST} to {RATE_MOST}, got {rate!r}")
    if samples.ndim != 1 or samples.dtype.kind != "f" or not samples.size:
        raise TypeError(f"samples are a float array [samples], got {samples.dtype} {list(samples.shape)}")
    if samples.size > SECONDS_MOST * rate:
        raise ValueError(f"the sound lasts {samples.size / rate:.0f} s; at most {SECONDS_MOST} s are kept")
    if not np.isfinite(samples).all():
        raise ValueError("a sample is no finite number")
    samples = np.clip(samples, -1, 1)
    drawing = draw_wave(samples)
    facts = {"seconds": round(samples.size / rate, 3), "sample_rate": rate}
    return facts, (
        Picture(encode(drawing, "png"), "image/png", *drawing.size),
        Picture(_wav(samples, rate), MEDIA_TYPE, 0, 0),
    )


def _wav(samples: NDArray[Any], rate: int) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(rate)
        writer.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return file.getvalue()
