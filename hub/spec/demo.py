"""The declaration of a page, and what goes with its fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hub.spec.inputs import Input
from hub.spec.outputs import Output


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
