"""Input fields: what a page asks for, and what `prepare` and `present` get of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

# Every input has `name` (parameter name in Python, REST, CLI and gradio_client), `label` (what people
# read) and `help` (one line below it).


@dataclass(frozen=True, slots=True)
class ImageInput:
    """A picture. `prepare` gets an RGB `PIL.Image`, decoded within limits and turned upright.

    `webcam=True` offers the camera: for one photo, and live (see `Demo.live`). With `optional=True` it may be left
    out: `prepare` and `present` are then called without it, so they give it the default None.

    `reduced_for` names a list in the chosen weights' config.json, by keys with a dot between, that ends in the height
    and width the network sees ("pretrained_cfg.input_size"). A large photo may then come reduced, which takes less
    than half the time: both sides are at least 3.5 times the network's, and the longer one is at least 1000 px. Not for
    a page that returns places in the photo, or a picture of the photo's size.

    `draw` lets people draw on it what they mean: "box" (boxes), "points" or "mask" (a painted area). `prepare` and
    `present` then get a `Drawn` in the picture's place. Outside of a browser what is drawn is an input of its own:
    `<name>_boxes` or `<name>_points` (JSON), or `<name>_mask` (a picture). At most `draw_most` boxes or points; with
    `draw_optional=True` nothing need be drawn.
    """

    name: str
    label: str
    help: str = ""
    webcam: bool = False
    optional: bool = False
    reduced_for: str = ""
    draw: Literal["", "box", "points", "mask"] = ""
    draw_most: int = 16
    draw_optional: bool = False

    @property
    def required(self) -> bool:
        return not self.optional


@dataclass(frozen=True, slots=True)
class Drawn:
    """What `prepare` and `present` get for `ImageInput(draw=...)`: a picture with what was drawn on it.

    Places are in pixels of `picture`, from its top left corner, and lie within it.
    """

    picture: Any  # RGB `PIL.Image`
    boxes: tuple[tuple[float, float, float, float], ...] = ()  # (x0, y0, x1, y1), x0 < x1 and y0 < y1
    points: tuple[tuple[float, float, bool], ...] = ()  # (x, y, wanted); not wanted: what must stay out
    mask: Any = (
        None  # `PIL.Image` of mode "L" and of the picture's size: 255 where it is painted, else 0; None: nowhere
    )


@dataclass(frozen=True, slots=True)
class Marks:
    """Boxes or points on the picture of the input `on`. A page does not declare it: `ImageInput(draw=...)` brings it.

    Headless: a list of `[x0, y0, x1, y1]`, or of `[x, y]` and `[x, y, wanted]` (1 or 0); or
    `{"of": [width, height], "boxes": [...]}`, where they were found on one of another size. Also as JSON in a text.
    """

    name: str
    label: str
    on: str
    kind: Literal["boxes", "points"]
    most: int
    help: str = ""
    optional: bool = False
    default: ClassVar[str] = ""

    @property
    def required(self) -> bool:
        return not self.optional


@dataclass(frozen=True, slots=True)
class PaintedMask:
    """An area of the picture of the input `on`, as a picture that is white there and black elsewhere.

    A page does not declare it: `ImageInput(draw="mask")` brings it.
    """

    name: str
    label: str
    on: str
    help: str = ""
    optional: bool = False

    @property
    def required(self) -> bool:
        return not self.optional


@dataclass(frozen=True, slots=True)
class VideoInput:
    """A video: MP4, MOV, WebM or Matroska. `prepare` and `present` get a clip that is decoded as it is looked at:

    `for at_s, frame in clip.frames():` gives upright RGB `PIL.Image`s of at most 1280 px, at most `rate` of them a
    second; `clip.seconds`, `clip.size` (of these frames) and `clip.count` (about how many) are known before. A video of
    more than `max_seconds` is refused.
    """

    name: str
    label: str
    help: str = ""
    max_seconds: float = 30.0
    rate: float = 5.0
    optional: bool = False

    @property
    def required(self) -> bool:
        return not self.optional


@dataclass(frozen=True, slots=True)
class AudioInput:
    """A sound: WAV, MP3, FLAC, Ogg, M4A or the sound of a video. `prepare` and `present` get a read-only float32 array
    [samples] in [-1, 1]: one channel, at `sample_rate`. A sound of more than `max_seconds` is refused.
    """

    name: str
    label: str
    help: str = ""
    max_seconds: float = 60.0
    sample_rate: int = 16_000
    microphone: bool = False
    optional: bool = False

    @property
    def required(self) -> bool:
        return not self.optional


@dataclass(frozen=True, slots=True)
class Text:
    """A line or paragraph of text; `prepare` gets a `str` of at most `max_chars`, stripped."""

    name: str
    label: str
    help: str = ""
    default: str | None = None  # None: must be given
    max_chars: int = 1000
    lines: int = 2

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(frozen=True, slots=True)
class Slider:
    """A number in [minimum, maximum]; `prepare` gets an `int` if all bounds and the step are ints, else a `float`.

    `default_from` names a key of the chosen weights' config.json: its number is the default with those weights, and
    pages move to it when other weights are chosen. `default` then stands only where no weights are at hand.
    """

    name: str
    label: str
    minimum: float
    maximum: float
    default: float
    step: float
    unit: str = ""
    help: str = ""
    default_from: str = ""
    required: ClassVar[bool] = False

    @property
    def integer(self) -> bool:
        return all(isinstance(n, int) for n in (self.minimum, self.maximum, self.default, self.step))


@dataclass(frozen=True, slots=True)
class Number:
    """A number that people type; `prepare` gets a `float` in [minimum, maximum], or an `int` with `integer=True`.

    Headless: a JSON number, or text. Where a range of values is to be tried, a `Slider` is handier.
    """

    name: str
    label: str
    default: float | None = None  # None: must be given
    minimum: float = -1_000_000_000_000
    maximum: float = 1_000_000_000_000
    integer: bool = False
    unit: str = ""
    help: str = ""

    @property
    def required(self) -> bool:
        return self.default is None


@dataclass(frozen=True, slots=True)
class Toggle:
    """Yes or no, as a `bool`. Headless: true or false in JSON; in forms and flags also yes, no, on, off, 1 and 0."""

    name: str
    label: str
    default: bool = False
    help: str = ""
    required: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Choice:
    """One of a few named options, as a `str`.

    `options_from` names a key of the chosen weights' config.json: its list (texts, or objects with "name")
    follows `options`. The default must be one of `options`, which every set of weights has.
    """

    name: str
    label: str
    options: tuple[str, ...]
    default: str
    help: str = ""
    options_from: str = ""
    required: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Choices:
    """Any number of a few named options: a `tuple[str, ...]` in the options' order, each once; `()` for none.

    `options_from` as for `Choice`. Headless: a JSON list, a repeated form field, or text with commas.
    """

    name: str
    label: str
    options: tuple[str, ...] = ()
    default: tuple[str, ...] = ()
    help: str = ""
    options_from: str = ""
    required: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Seed:
    """A random seed in [0, 2**32 - 1]; when none is given one is drawn, and the result says which."""

    name: str = "seed"
    label: str = "Seed"
    help: str = "Empty: a new one each run. The same seed and inputs give the same result."
    required: ClassVar[bool] = False


FileInput = (
    ImageInput | VideoInput | AudioInput | PaintedMask
)  # what comes as a file: bytes that are opened when they are needed
Input = FileInput | Marks | Text | Slider | Number | Toggle | Choice | Choices | Seed
