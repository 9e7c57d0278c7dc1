"""From wide samples (more than 8 bits, signed, float) to 0..255: which range of theirs is black to white."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hub.decoding.reading import Reading
from hub.texts import Sentence

Kind = Literal["uint", "int", "float"]
Numbers = NDArray[Any]

# Data often has fewer bits than what it is stored in: 8, 10, 12 or 14 bits, or reflectance in 1/10000.
USUAL = (255, 1023, 4095, 10_000, 16_383, 65_535)
OVERSHOOT = 2.0  # floats of 0..1 that were resampled reach a little over 1


@dataclass(slots=True)
class Survey:
    """The least and the greatest sample of a picture that is seen in pieces."""

    nodata: float | None = None  # a value that stands for "nothing here", as maps have
    low: float = field(default=np.inf)
    top: float = field(default=-np.inf)

    def see(self, values: Numbers) -> None:
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        if self.nodata is not None:
            values = values[values != self.nodata]
        if values.size:
            self.low = min(self.low, float(values.min()))
            self.top = max(self.top, float(values.max()))


@dataclass(frozen=True, slots=True)
class Span:
    """What is black and what is white. `usual`: as the format has it, so that nobody needs to be told."""

    low: float
    high: float
    usual: bool = True
    nodata: float | None = None

    def to_bytes(self, values: Numbers) -> NDArray[np.uint8]:
        if values.dtype == np.uint16 and (self.low, self.high) == (0, 65_535):
            scaled: NDArray[np.uint8] = (values >> 8).astype(np.uint8)
        else:
            wide = values.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
            wide = np.nan_to_num(wide, copy=False, nan=self.low, posinf=self.low, neginf=self.low)
            with np.errstate(all="ignore"):  # floats near the end of their range
                wide -= self.low
                wide *= 255
                wide /= (self.high - self.low) or 1
            scaled = np.nan_to_num(np.clip(np.rint(wide, out=wide), 0, 255, out=wide)).astype(np.uint8)
        if self.nodata is not None:
            scaled[values == self.nodata] = 0
        return scaled


def span(survey: Survey, kind: Kind, bits: int) -> Span:
    """The whole range of the samples, or the smallest usual one that holds them where that is much smaller."""
    low, top, nodata = survey.low, survey.top, survey.nodata
    if low > top:  # nothing but NaN, or no data
        return Span(0, 1, True, nodata)
    if kind == "float":
        if low >= 0 and top <= 1:
            return Span(0, 1, True, nodata)
        full: float = top
    else:
        full = 2**bits - 1 if kind == "uint" else 2 ** (bits - 1) - 1
    if low < 0:
        return Span(low, top, False, nodata)
    if kind == "float" and top <= OVERSHOOT:
        return Span(0, top, False, nodata)
    if kind != "float" and top > (full / 4 if kind == "uint" and bits <= 16 else full / 2):
        return Span(0, full, True, nodata)
    high = next((usual for usual in USUAL if top <= usual), top)
    return Span(0, min(high, full) if kind != "float" else high, high == 255, nodata)


def remark(reading: Reading, samples: Sentence, survey: Survey, scale: Span) -> None:
    """Says which range was taken, where a reader of the picture could not know."""
    if not scale.usual:
        reading.remark(
            "{name} has {samples} from {low:.6g} to {top:.6g}: {black:.6g} was read as black and {white:.6g} as white.",
            samples=samples, low=survey.low, top=survey.top, black=scale.low, white=scale.high,
        )  # fmt: skip
