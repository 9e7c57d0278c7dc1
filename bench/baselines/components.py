"""The usual Gradio component for each declared field, and what it is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gradio as gr

from hub.spec import (
    Boxes,
    Choice,
    Choices,
    Demo,
    Gallery,
    ImageInput,
    ImageOutput,
    Input,
    Labels,
    Mask,
    Number,
    Output,
    Slider,
    Text,
    TextOutput,
    Toggle,
)


def input_component(field: Input) -> Any:
    if isinstance(field, ImageInput):
        return gr.Image(type="pil", label=field.label)
    if isinstance(field, Slider):
        return gr.Slider(field.minimum, field.maximum, field.default, step=field.step, label=field.label)
    if isinstance(field, Choice):
        return gr.Radio(list(field.options), value=field.default, label=field.label)
    if isinstance(field, Choices):
        return gr.CheckboxGroup(list(field.options), value=list(field.default), label=field.label)
    if isinstance(field, Text):
        return gr.Textbox(field.default, lines=field.lines, label=field.label)
    if isinstance(field, Number):
        return gr.Number(field.default, precision=0 if field.integer else None, label=field.label)
    if isinstance(field, Toggle):
        return gr.Checkbox(field.default, label=field.label)
    return gr.Number(0, precision=0, label=field.label)


def output_component(field: Output) -> Any:
    if isinstance(field, ImageOutput | Mask):
        return gr.Image(format=field.format if isinstance(field, ImageOutput) else "png", label=field.label)
    if isinstance(field, Labels):
        return gr.Label(num_top_classes=field.top, label=field.label)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label)
    if isinstance(field, Boxes):
        return gr.AnnotatedImage(label=field.label)
    if isinstance(field, TextOutput):
        return gr.Markdown(label=field.label) if field.markdown else gr.Textbox(label=field.label)
    return gr.JSON(label=field.label)


def runner(demo: Demo, predict: Callable[..., dict[str, Any]]) -> Callable[..., Any]:
    """What the button calls: values in declared order -> values of the output components."""

    def run(*values: Any) -> Any:
        presented = predict(**{field.name: value for field, value in zip(demo.inputs, values, strict=True)})
        answers = [output_value(field, presented) for field in demo.outputs]
        return answers if len(answers) > 1 else answers[0]

    return run


def output_value(field: Output, presented: Mapping[str, Any]) -> Any:
    """None where an optional output is left out; a picture without its caption; boxes as Gradio takes them."""
    value = presented.get(field.name)
    if isinstance(field, Boxes) and value is not None:
        return value[0], [(tuple(map(int, box["box"])), box["label"]) for box in value[1]]
    return value[0] if isinstance(field, ImageOutput) and isinstance(value, tuple) else value
