"""What a demo declares: fields, weights, examples and four functions. Imports nothing heavy.

A demo is one file `demos/<slug>.py` with one `DEMO = Demo(...)` at the bottom. The file says what;
the hub says how: pages, REST, caching, batching and memory come from this declaration alone.
Its words are English; translations, by English text, go into `assets/<slug>/<language>.toml` (hub/texts.py).
"""

from __future__ import annotations

from hub.spec.demo import (
    Demo,
    Example,
    OverVideo,
    Progress,
    Weights,
)
from hub.spec.inputs import (
    AudioInput,
    Choice,
    Choices,
    Drawn,
    FileInput,
    ImageInput,
    Input,
    Marks,
    Number,
    PaintedMask,
    Seed,
    Slider,
    Text,
    Toggle,
    VideoInput,
)
from hub.spec.outputs import (
    AudioOutput,
    Boxes,
    Gallery,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Output,
    Plot,
    TextOutput,
    VideoOutput,
)

API_VERSION = 1  # of hub.spec, hub.images and hub.kit, as pages use them; docs/pages.md says what it promises

__all__ = [
    "API_VERSION",
    "AudioInput",
    "AudioOutput",
    "Boxes",
    "Choice",
    "Choices",
    "Demo",
    "Drawn",
    "Example",
    "FileInput",
    "Gallery",
    "ImageInput",
    "ImageOutput",
    "Input",
    "Json",
    "Labels",
    "Marks",
    "Mask",
    "Number",
    "Output",
    "OverVideo",
    "PaintedMask",
    "Plot",
    "Progress",
    "Seed",
    "Slider",
    "Text",
    "TextOutput",
    "Toggle",
    "VideoInput",
    "VideoOutput",
    "Weights",
]
