"""Declared inputs and outputs as JSON Schema (2020-12, as OpenAPI 3.1 uses it)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import TypeAdapter

from hub.decoding.decode import FORMATS
from hub.execution.models import Resident
from hub.pages import hints
from hub.pages.outputs import TEXT_CHARS
from hub.pages.registry import Page
from hub.pages.values import SEED_LIMIT
from hub.results import boxes, plots
from hub.results.result import Receipt
from hub.spec import (
    AudioInput,
    AudioOutput,
    Boxes,
    Choice,
    Choices,
    Demo,
    Gallery,
    ImageInput,
    ImageOutput,
    Input,
    Json,
    Labels,
    Marks,
    Mask,
    Number,
    Output,
    PaintedMask,
    Plot,
    Seed,
    Slider,
    TextOutput,
    Toggle,
    VideoInput,
    VideoOutput,
)
from hub.web.api.schemas import shapes
from hub.web.api.schemas.shapes import ComparisonAnswer, DemoAnswer, ResultAnswer, Schema, SimilarAnswer
from hub.web.problems import ProblemAnswer

Body = Literal["json", "form"]
VIDEOS, SOUNDS = "MP4, MOV, WebM or Matroska", "WAV, MP3, FLAC, Ogg or M4A, or a video's sound"
PICTURES = f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}"
Options = Mapping[str, tuple[str, ...]]  # by input: options that the weights bring
ID: Schema = shapes.schema_of(shapes.ResultId)


def inputs(demo: Demo, body: Body, options: Options | None = None) -> Schema:
    """The object a run takes. Pictures are base64 in JSON and files in a form.

    `options`: what choices that take options from the weights have, with any of them.
    """
    properties = {f.name: _input(f, body, options or {}) for f in demo.inputs}
    if len(demo.weights) > 1:
        names = [w.name for w in demo.weights]
        properties["weights"] = {"type": "string", "title": "Weights", "enum": names, "default": names[0]}
    required = [f.name for f in demo.inputs if f.required]
    schema: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**schema, "required": required} if required else schema


def _input(field: Input, body: Body, options: Options) -> Schema:
    schema: Schema = {"title": field.label}
    notes = [field.help.rstrip(".")] if field.help else []
    if isinstance(field, ImageInput | PaintedMask):
        schema["type"] = "string"
        if body == "json":
            schema |= {"contentEncoding": "base64", "contentMediaType": "image/*", "minLength": 1}
            notes.append(f"A picture file ({PICTURES}) in base64, plain or as a data: URL")
        else:
            schema |= {"format": "binary", "contentMediaType": "image/*"}
            notes.append(f"A picture file ({PICTURES})")
    elif isinstance(field, VideoInput | AudioInput):
        _add_played(schema, notes, field, body)
    elif isinstance(field, Marks):
        _add_marks(schema, notes, field, body)
    elif isinstance(field, Slider):
        schema |= {"type": "integer" if field.integer else "number", "minimum": field.minimum}
        schema |= {"maximum": field.maximum, "x-step": field.step}
        if field.default_from:  # no one number: a client that fills in defaults would send it to all weights
            schema["x-default-from"] = field.default_from
            notes.append(f"If left out, as suits the weights ({field.default_from} in config.json)")
        else:
            schema["default"] = field.default
        if field.unit:
            schema["x-unit"] = field.unit
            notes.append(f"In {field.unit}")
    elif isinstance(field, Number):
        schema |= {"type": "integer" if field.integer else "number", "minimum": field.minimum}
        schema |= {"maximum": field.maximum, **({} if field.default is None else {"default": field.default})}
        if field.unit:
            schema["x-unit"] = field.unit
            notes.append(f"In {field.unit}")
    elif isinstance(field, Toggle):
        schema |= {"type": "boolean", "default": field.default}
    elif isinstance(field, Choice | Choices):
        names = options.get(field.name, () if field.options_from else field.options)
        option = {"type": "string", **({"enum": list(names)} if names else {})}
        several = {"type": "array", "items": option, "uniqueItems": True}
        schema |= option if isinstance(field, Choice) else several
        schema["default"] = field.default if isinstance(field, Choice) else list(field.default)
        notes += [f"Options come with the weights ({field.options_from} in config.json)"] if field.options_from else []
    elif isinstance(field, Seed):
        schema |= {"type": "integer", "minimum": 0, "maximum": SEED_LIMIT - 1}
    else:
        schema |= {"type": "string", "maxLength": field.max_chars}
        # No NUL; of a text that must be given, one letter at least.
        optional = {"default": field.default, "pattern": "^[^\\x00]*$"}
        schema |= {"minLength": 1, "pattern": "^[^\\x00]*[^\\s\\x00][^\\x00]*$"} if field.default is None else optional
    return {**schema, "description": ". ".join(notes) + "."} if notes else schema


def _add_played(schema: Schema, notes: list[str], field: VideoInput | AudioInput, body: Body) -> None:
    """What a video or a sound is sent as."""
    is_video = isinstance(field, VideoInput)
    media, what = ("video/*", "A video file") if is_video else ("audio/*", "A sound file")
    schema |= {"type": "string", "contentMediaType": media, "x-max-seconds": field.max_seconds}
    if body == "json":
        schema |= {"contentEncoding": "base64", "minLength": 1}
    else:
        schema["format"] = "binary"
    coded = " in base64, plain or as a data: URL" if body == "json" else ""
    notes.append(f"{what} ({VIDEOS if is_video else SOUNDS}){coded}, at most {field.max_seconds:g} s")


def _add_marks(schema: Schema, notes: list[str], field: Marks, body: Body) -> None:
    """How boxes and points are sent: as a list, or an object that says of which size of the picture they are."""
    text = {"type": "string", "maxLength": hints.MOST_CHARS}
    schema["x-drawn-on"] = field.on
    notes.append(f"In pixels of {field.on}, at most {field.most}")
    if body != "json":
        schema |= text
        notes.append(
            f'As JSON; or an object of "of" ([width, height] of the picture they were found on) and "{field.kind}"'
        )
        return
    number = {"type": "number", "minimum": -hints.MOST_PX, "maximum": hints.MOST_PX}
    fewest, most = (4, 4) if field.kind == "boxes" else (2, 3)
    mark = {"type": "array", "items": number, "minItems": fewest, "maxItems": most}
    marks = {"type": "array", "items": mark, "maxItems": field.most, **({"minItems": 1} if field.required else {})}
    side = {"type": "integer", "minimum": 1, "maximum": hints.MOST_PX}
    size = {"type": "array", "items": side, "minItems": 2, "maxItems": 2}
    of_size = {"type": "object", "properties": {"of": size, field.kind: marks}, "additionalProperties": False}
    schema["anyOf"] = [marks, {**of_size, "required": [field.kind]}, text]


def outputs(demo: Demo) -> Schema:
    """The object of outputs by name."""
    properties = {f.name: _output(f) for f in demo.outputs}
    required = [f.name for f in demo.outputs if not f.optional]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _output(field: Output) -> Schema:
    schema: Schema = {"title": field.label}
    if field.help:
        schema["description"] = field.help.rstrip(".") + "."
    url: Schema = {"type": "string", "format": "uri-reference"}
    if isinstance(field, ImageOutput | Mask):
        kind = "jpeg" if isinstance(field, ImageOutput) and field.format == "jpeg" else "png"
        return {**schema, **url, "x-media-type": f"image/{kind}"}
    if isinstance(field, Gallery):
        entry = {"url": {**url, "x-media-type": "image/png"}, "caption": {"type": "string"}}
        return {**schema, "type": "array", "items": {"type": "object", "properties": entry, "required": list(entry)}}
    if isinstance(field, Labels):
        share = {"type": "number", "minimum": 0, "maximum": 1}
        return {**schema, "type": "object", "additionalProperties": share, "x-top": field.top}
    if isinstance(field, TextOutput):
        text = {"type": "string", "maxLength": TEXT_CHARS}
        return {**schema, **text, **({"contentMediaType": "text/markdown"} if field.markdown else {})}
    if isinstance(field, Boxes):
        return {**schema, **_boxes({**url, "x-media-type": "image/jpeg"})}
    if isinstance(field, Plot):
        return {**schema, **_plot(field, {**url, "x-media-type": "image/png"})}
    if isinstance(field, VideoOutput | AudioOutput):
        return {**schema, **_played(field, url)}
    assert isinstance(field, Json)
    return {**schema, "type": "array", "items": {"type": "object"}} if field.table else schema


def _boxes(url: Schema) -> Schema:
    """Boxes in pixels of the picture that was given; over REST with the addresses of the picture with and without."""
    side, pixels = {"type": "number", "minimum": 0}, {"type": "integer", "minimum": 1}
    share = {"type": "number", "minimum": 0, "maximum": 1}
    label = {"type": "string", "maxLength": boxes.LABEL_CHARS}
    box = {"label": label, "score": share, **dict.fromkeys(boxes.SIDES, side)}
    one = {"type": "object", "properties": box, "required": list(box), "additionalProperties": False}
    several = {"type": "array", "items": one, "maxItems": boxes.MOST}
    found = {"width": pixels, "height": pixels, "boxes": several}
    properties = {**found, "picture": url, "plain": url}
    return {"type": "object", "properties": properties, "required": list(found), "additionalProperties": False}


def _plot(field: Plot, url: Schema) -> Schema:
    """A plot's data; over REST with the addresses of it as a picture."""
    place: Schema = {"type": "string" if field.bars else "number"}
    number: Schema = {"type": ["number", "null"]}
    points = {"type": "array", "items": number, "maxItems": plots.POINTS_MOST}
    data = {
        "x": {"type": "array", "items": place, "maxItems": plots.POINTS_MOST},
        "series": {"type": "object", "additionalProperties": points, "maxProperties": plots.SERIES_MOST},
        "colours": {"type": "object", "additionalProperties": {"type": "string", "pattern": "^#[0-9a-fA-F]{6}$"}},
    }
    properties = {**data, "picture": url, "dark": url}
    axes = {"x-axes": [field.x, field.y], "x-bars": field.bars}
    return {"type": "object", "properties": properties, "required": list(data), "additionalProperties": False, **axes}


def _played(field: VideoOutput | AudioOutput, url: Schema) -> Schema:
    """What is known of a video or a sound; over REST with the addresses of it and of its picture."""
    number, whole = {"type": "number", "minimum": 0}, {"type": "integer", "minimum": 1}
    if isinstance(field, VideoOutput):
        facts = {"width": whole, "height": whole, "seconds": number, "frames": whole, "rate": number}
        files = {"still": {**url, "x-media-type": "image/jpeg"}, "video": {**url, "x-media-type": "video/mp4"}}
    else:
        facts = {"seconds": number, "sample_rate": whole}
        files = {"picture": {**url, "x-media-type": "image/png"}, "sound": {**url, "x-media-type": "audio/wav"}}
    properties = {**facts, **files}
    return {"type": "object", "properties": properties, "required": list(facts), "additionalProperties": False}


def answer(page: Page) -> Schema:
    """What a run of the page's demo is answered with; needs the component `Receipt`."""
    demo, result = page.demo, shapes.schema_of(ResultAnswer)
    properties, required = result["properties"], list(result["required"])
    if any(f.name == "seed" for f in demo.inputs):
        required.append("seed")
    else:
        del properties["seed"]
    properties |= {"demo": {"type": "string", "const": page.slug}, "outputs": outputs(demo)}
    return {"type": "object", "properties": properties, "required": required}


def comparison(page: Page) -> Schema:
    """What a comparison of two sets of weights is answered with; needs the components `fixed`."""
    document = shapes.schema_of(ComparisonAnswer)
    both = answer(page)
    document["properties"] |= {"demo": {"type": "string", "const": page.slug}, "a": both, "b": both}
    return document


def fixed() -> dict[str, Schema]:
    """The components of answers that are the same for all pages, from the classes that the doors make them with."""
    document = shapes.components(DemoAnswer, ResultAnswer, ComparisonAnswer, SimilarAnswer, ProblemAnswer)
    del document["Comparison"]  # each page has its own
    return {**document, "Receipt": receipt(), "Model": model()}


def receipt() -> Schema:
    """What a result cost."""
    schema: Schema = TypeAdapter(Receipt).json_schema()
    schema["required"] = list(schema["properties"])  # those with a default too: an answer has them all
    schema["description"] = (
        "What the result cost, in milliseconds. total_ms is of this request; stages are of the run that computed the "
        "result, which may have been another's. cached and created_at tell of who asks alone: whether they had it "
        "before, and since when (null: they never ran it)."
    )
    schema["properties"]["remarks"]["description"] = "What to know of how the inputs were read, one sentence each"
    return schema


def model() -> Schema:
    """One page's model with one set of weights."""
    schema: Schema = TypeAdapter(Resident).json_schema()
    schema["required"] = list(schema["properties"])
    schema["description"] = "A page's model, in memory or not. Sizes in bytes, times in seconds but load_ms."
    return schema
