"""What a declaration implies: which of its fields hold words, pictures, or what somebody brought along."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

from hub.decoding.reading import Enough
from hub.images import ENOUGH_SIDE
from hub.spec import (
    AudioOutput,
    Boxes,
    Choice,
    Choices,
    Demo,
    FileInput,
    Gallery,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Output,
    Plot,
    Seed,
    Text,
    TextOutput,
    VideoOutput,
)

SHOWN = ImageOutput | Gallery | Boxes | VideoOutput | AudioOutput | Plot  # outputs with a picture to look at
MARGIN = 3.5  # sides of a reduced photo to the network's: with 3, a probability in hundreds moves by more than 0.005


def first_picture(demo: Demo) -> str:
    """Name of the first picture that goes in: of it the embedding is, and the thumbnail that is kept."""
    return next(f.name for f in demo.inputs if isinstance(f, ImageInput))


def prompt_input(demo: Demo | None) -> str:
    """Name of the input that says what a picture shows; empty: the page takes no words."""
    return next((f.name for f in demo.inputs if isinstance(f, Text)), "") if demo else ""


def asked_first(demo: Demo) -> list[str]:
    """Inputs that a page asks for on top: what a run cannot do without; where it can, all. The others are settings."""
    needed = [f.name for f in demo.inputs if f.required] or [f.name for f in demo.inputs if f.name not in demo.more]
    return [f.name for f in demo.inputs if f.name in needed or getattr(f, "on", "") in needed]


def runs_at_once(demo: Demo) -> bool:
    """Whether a page runs as soon as a picture is chosen: it needs nothing else, and its answer takes a moment only."""
    needed = [f for f in demo.inputs if f.required]
    pictures = [f for f in demo.inputs if isinstance(f, ImageInput)]
    return len(pictures) == 1 and needed in ([], pictures) and not inspect.isgeneratorfunction(demo.infer)


def written_output(demo: Demo) -> str:
    """Name of the output that a page can show while it is written; empty: there is none."""
    texts = [f.name for f in demo.outputs if isinstance(f, TextOutput)]
    return texts[0] if texts and inspect.isgeneratorfunction(demo.infer) else ""


def picture_outputs(demo: Demo | None) -> tuple[str, ...]:
    """Names of the outputs that are pictures to look at."""
    return tuple(f.name for f in demo.outputs if isinstance(f, ImageOutput | Gallery)) if demo else ()


def drawn_outputs(demo: Demo | None) -> tuple[str, ...]:
    """Names of the outputs that show something: pictures, and what has a picture in front."""
    return tuple(f.name for f in demo.outputs if isinstance(f, SHOWN)) if demo else ()


def from_words(demo: Demo | None) -> bool:
    """Whether a page makes pictures from words, and so is in the gallery."""
    return bool(prompt_input(demo) and picture_outputs(demo))


def private_inputs(demo: Demo) -> list[str]:
    """Inputs that hold what somebody brought along: files and texts, no settings."""
    return [
        f.name for f in demo.inputs if isinstance(f, FileInput | Text) and not isinstance(f, Choice | Choices | Seed)
    ]


def file_inputs(demo: Demo) -> set[str]:
    """Names of the inputs that come as files: pictures, videos and sounds."""
    return {f.name for f in demo.inputs if isinstance(f, FileInput)}


def on_page(demo: Demo) -> list[Output]:
    """The outputs that people see by themselves: not the number that another draws as a line."""
    lines = {f.line for f in demo.outputs if isinstance(f, Labels)}
    return [f for f in demo.outputs if f.name not in lines]


def of_client(demo: Demo) -> list[Output]:
    """The outputs that gradio_client gets, in order."""
    return [f for f in demo.outputs if not (isinstance(f, Gallery) and f.aside)]


def has_value(field: Output) -> bool:
    """Whether an output is JSON data; boxes, plots, videos and sounds have files beside it."""
    return isinstance(field, Labels | Json | TextOutput) or has_files_beside(field)


def has_files_beside(field: Output) -> bool:
    """Whether an output is data with two files: what it looks like, and the other form of it."""
    return isinstance(field, Boxes | Plot | VideoOutput | AudioOutput)


def is_table(field: Output) -> bool:
    """Whether an output is rows of a table."""
    return isinstance(field, Json) and field.table


def enough_pixels(demo: Demo, config: Mapping[str, Any] | None) -> dict[str, Enough]:
    """What suffices of each picture that may come reduced with these weights, by the input's name."""
    enough = {}
    for field in demo.inputs:
        if isinstance(field, ImageInput) and field.reduced_for:
            sides: Any = config
            for key in field.reduced_for.split("."):
                sides = sides.get(key) if isinstance(sides, Mapping) else None
            if isinstance(sides, list | tuple) and all(isinstance(side, int) for side in sides[-2:]):
                enough[field.name] = Enough(math.ceil(MARGIN * max(sides[-2:], default=0)), ENOUGH_SIDE)
    return enough
