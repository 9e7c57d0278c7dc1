"""The usual Gradio component for each declared field."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hub.spec import Choice, Gallery, ImageInput, ImageOutput, Input, Labels, Mask, Output, Slider, Text


def input_component(field: Input) -> Any:
    if isinstance(field, ImageInput):
        return gr.Image(type="pil", label=field.label)
    if isinstance(field, Slider):
        return gr.Slider(field.minimum, field.maximum, field.default, step=field.step, label=field.label)
    if isinstance(field, Choice):
        return gr.Radio(list(field.options), value=field.default, label=field.label)
    if isinstance(field, Text):
        return gr.Textbox(field.default, lines=field.lines, label=field.label)
    return gr.Number(0, precision=0, label=field.label)


def output_component(field: Output) -> Any:
    if isinstance(field, ImageOutput | Mask):
        return gr.Image(format=field.format if isinstance(field, ImageOutput) else "png", label=field.label)
    if isinstance(field, Labels):
        return gr.Label(num_top_classes=field.top, label=field.label)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label)
    return gr.JSON(label=field.label)
