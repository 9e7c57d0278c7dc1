"""Output fields: what `present` returns for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# With `optional=True`, `present` may leave an output out or return None for it: pages hide it, REST and the
# command line leave it out.


@dataclass(frozen=True, slots=True)
class ImageOutput:
    """`present` returns an RGB `PIL.Image`. `jpeg` suits photographs, `png` drawings and exact pixels.

    With `(PIL.Image, caption)` the page shows the caption in the label's place.
    `compare` names an image input whose picture has the same shape: the page lays a slider over the two.
    """

    name: str
    label: str
    help: str = ""
    format: Literal["png", "jpeg"] = "png"
    compare: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Mask:
    """`present` returns class ids as a uint8 array [height, width]; served as an exact 8-bit PNG."""

    name: str
    label: str
    help: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Labels:
    """`present` returns `{label: probability}` with probabilities in [0, 1].

    `line` names a `Json` output with a number in [0, 1], such as a threshold: the page draws it through all
    bars instead of showing it on its own. `folded`: people open it themselves.
    """

    name: str
    label: str
    help: str = ""
    top: int = 5
    line: str = ""
    optional: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Json:
    """`present` returns JSON-able data. With `table=True` it is a list of flat dicts with equal keys.

    In a table, a column `colour` (`#rrggbb`) is drawn as a swatch and one whose name ends in
    `percent` as a bar; rows whose column `shown` is False are pale. People do not see the columns in `unseen`, which
    programs get; a table with `chips` is drawn as a row of labels with their percent; one that is `folded` people open.
    `corrects` names the column of numbers that people may set right, where they say that an answer is wrong.
    """

    name: str
    label: str
    help: str = ""
    table: bool = False
    optional: bool = False
    unseen: tuple[str, ...] = ()
    chips: bool = False
    folded: bool = False
    corrects: str = ""


@dataclass(frozen=True, slots=True)
class Gallery:
    """`present` returns a list of `(PIL.Image, caption)`.

    `aside`: gradio_client, whose answers are a tuple, does not get it; the result has it over REST. For pages that have
    programs as users already.
    """

    name: str
    label: str
    help: str = ""
    optional: bool = False
    aside: bool = False


@dataclass(frozen=True, slots=True)
class TextOutput:
    """`present` returns a text of at most 20,000 characters, shown as it is; with `markdown=True` as Markdown.

    Of Markdown, tags stand as text, pictures are their words, and links lead to other websites only.
    """

    name: str
    label: str
    help: str = ""
    markdown: bool = False
    optional: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Boxes:
    """`present` returns `(PIL.Image, boxes)`: the picture and a list of at most 1,000 boxes in pixels of that picture.

    A box is `{"label": str, "score": float, "box": (x0, y0, x1, y1)}` with the score in [0, 1]; it is clipped to the
    picture. Pages draw them over a copy of at most 2048 px, with a legend, a table and a slider for the least score,
    which does not run the model again. Headless: `{"width", "height", "boxes": [{"label", "score", "x0", "y0", "x1",
    "y1"}]}`, surest first; over REST also as COCO and as a picture (docs/pages.md).
    """

    name: str
    label: str
    help: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class VideoOutput:
    """`present` returns `(frames, rate)`: RGB `PIL.Image`s of one size, also as an iterator, and how many a second.

    At most 1,000 frames of at most 1280 px; served as MP4 (H.264) without sound, with its first frame as a still.
    Headless: `{"width", "height", "seconds", "frames", "rate"}` beside both files.
    """

    name: str
    label: str
    help: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class AudioOutput:
    """`present` returns `(samples, sample_rate)`: a float array [samples] in [-1, 1], at most ten minutes of it.

    Served as WAV (16 bits, one channel), with a drawing of the wave. Headless: `{"seconds", "sample_rate"}` beside
    both files.
    """

    name: str
    label: str
    help: str = ""
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Plot:
    """`present` returns `{"x": [...], "series": {name: [...]}}`, drawn as lines over numbers or as bars over texts.

    At most 12 series of at most 2,000 points each, as many as `x` has; None is a gap. `"colours": {name: "#rrggbb"}`
    may stand beside them. `x` and `y` name the axes. Headless: the same data; over REST also as CSV, SVG and PNG.
    """

    name: str
    label: str
    help: str = ""
    x: str = ""
    y: str = ""
    bars: bool = False
    optional: bool = False


Output = ImageOutput | Mask | Labels | Json | Gallery | TextOutput | Boxes | VideoOutput | AudioOutput | Plot
