"""What a demo declares: fields, weights, examples and four functions. Imports nothing heavy.

A demo is one file `demos/<slug>.py` with one `DEMO = Demo(...)` at the bottom. The file says what;
the hub says how: pages, REST, caching, batching and memory come from this declaration alone.
Its words are English; translations, by English text, go into `assets/<slug>/<language>.toml` (hub/texts.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

API_VERSION = 1  # of hub.spec, hub.images and hub.kit, as pages use them; docs/pages.md says what it promises

# --- inputs ---------------------------------------------------------------------------------------
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

# --- outputs --------------------------------------------------------------------------------------
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

# --- the declaration ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights by name: the folder `weights/<name>/` in Hub format (README.md, config.json, *.safetensors)."""

    name: str
    title: str = ""  # what the page calls it where there is a choice; default: the name
    sources: tuple[
        str, ...
    ] = ()  # alternatives, each a choice of its own: "hf://owner/name@revision" (hub/weights/sources.py)


@dataclass(frozen=True, slots=True)
class Example:
    """Inputs that run in one click. Image values are file names in `demos/assets/<slug>/`."""

    inputs: Mapping[str, Any]
    title: str  # what the picture shows; also its alternative text
    picture: str = ""  # what is to be expected, a file in the same folder: shown where no input is a picture


@dataclass(frozen=True, slots=True)
class OverVideo:
    """A page of pictures over a video: one more page, `<slug>_video`, whose frames go where the pictures go.

    Each frame takes the place of the page's one image input and meets the same model, in the same batches. `picture`
    names the image output that is a frame of the video which comes out (empty: none comes out). `curve` names what is
    drawn over time: a `Labels` output, or a `Json` table with a column that ends in `percent`.
    """

    title: str
    summary: str
    curve: str
    picture: str = ""
    defaults: Mapping[str, Any] = field(default_factory=dict)  # of other inputs, where a quicker one suits a video
    max_seconds: float = 20.0
    rate: float = 5.0  # frames a second that are looked at
    examples: tuple[Example, ...] = ()  # the video is the input `video`


@dataclass(frozen=True, slots=True)
class Progress:
    """What a generator `infer` yields while one batch runs.

    `preview` is a PIL image (or None) per item, or None; `left_s` the seconds to come, by the steps so far. `text` is
    what the page's first `TextOutput` says so far, from its beginning, per item (or None), or None. Every door shows
    it, a new one at most ten times a second: others in between are left out.
    """

    step: int
    total: int
    preview: tuple[Any, ...] | None = None
    left_s: float | None = None
    text: tuple[str | None, ...] | None = None


@dataclass(frozen=True, slots=True)
class Demo:
    """One page, declared once. The four functions and `headline`, in the order they run:

    load(folder, device) -> model
        `folder`: `Path` of the verified weights (None for a demo without weights); `device`: a
        `torch.device`. Returns the model in eval mode; the pool moves an `nn.Module` to its device,
        dtype and memory format.
    prepare(**inputs) -> item
        Pure, CPU, no model: the declared inputs by name -> one item (arrays or tensors, or a dict of
        them). Items whose arrays differ in shape are never batched together.
    infer(model, items) -> outputs
        Batched, under `torch.inference_mode()`: `n` items -> a list of `n` outputs on the CPU. May be a
        generator that yields `Progress` and returns the list.
        With `similar=True` each output is a dict which holds "embedding": a float32 array [features].
    present(output, **inputs) -> dict
        Pure, CPU: one output -> one entry per declared output. Beside them it may return "remarks": sentences
        (`hub.kit.sentences.sentence`) on what was not used of the inputs, which every door tells.

    headline(outputs, ...) -> str
        Optional: the answer in a few plain words, for a reader who sees nothing else ("Right hand, 12 points"; a
        `hub.kit.sentences.sentence` is translated). `outputs` is what `present` returned. It also gets the inputs
        whose names it has as parameters; a shared result that leaves one of these out goes without its words.
        Without one, or where it fails, the hub makes a headline of the declared outputs.

    `prepare`, `infer`, `present` and `headline` may also name a parameter `config`: they get the weights'
    `config.json` (size, mean, std, class names), a read-only mapping.
    """

    title: str
    summary: str  # one sentence for the gallery
    task: str  # the Hub's pipeline tag, in words: "Image segmentation"
    inputs: tuple[Input, ...]
    outputs: tuple[Output, ...]
    load: Callable[..., Any]
    prepare: Callable[..., Any]
    infer: Callable[..., Any]
    present: Callable[..., dict[str, Any]]
    weights: tuple[Weights, ...] = ()  # the first is the default; more make a choice named `weights`
    examples: tuple[Example, ...] = ()
    cover: str = ""  # picture for the gallery, a file in demos/assets/<slug>/; default: the first example
    note: str = ""  # shown above the inputs: what it must not be used for, say
    version: str = "1"  # raise it when prepare, infer or present answer differently: old results are not reused
    max_batch: int = 8
    more: tuple[str, ...] = ()  # inputs that Gradio pages show in a fold: those that few people change
    live: Mapping[str, Any] = field(default_factory=dict)  # inputs that live camera frames have, whatever the page says
    similar: bool = False  # `infer` returns dicts with "embedding": the page shows what the model finds similar
    order: int = 100  # place in the gallery, small first
    links: Mapping[str, str] = field(default_factory=dict)  # title -> address, for "About this model"
    tags: tuple[str, ...] = ()  # words by which `--rights` names several pages: faces, roads
    names: Mapping[str, str] = field(default_factory=dict)  # raw label or option -> words that pages show in its place
    headline: Callable[..., str] | None = None  # the answer in a few plain words; None: made from the outputs
    video: OverVideo | None = None  # the page also runs over videos, as a page of its own
