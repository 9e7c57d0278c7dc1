"""Declared fields as Gradio components.

Input components hand values through unchecked: the engine checks them, so every door gives the same answer
and the same error. (Gradio's own checks would answer first, in other words; gr.Image would open the file.)
"""

from __future__ import annotations

import base64
from abc import ABCMeta
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import gradio as gr

from hub.results import Picture, Result
from hub.spec import Choice, Demo, Gallery, ImageInput, ImageOutput, Input, Json, Labels, Mask, Output, Seed, Slider
from hub.web import html

RADIO_UP_TO = 4  # more options become a dropdown


def _unchecked(base: type[Any], preprocess: Callable[[Any, Any], Any]) -> type[Any]:
    """`base` with another `preprocess`.

    Made past Gradio's own metaclass, which would write a .pyi file beside this module at every start.
    """
    attributes = {"preprocess": preprocess, "is_template": True, "__module__": __name__}
    return ABCMeta.__new__(type(base), f"Unchecked{base.__name__}", (base,), attributes)


def _as_is(self: Any, payload: Any) -> Any:
    return payload


def _as_file(self: Any, payload: Any) -> Path | bytes | None:
    """The uploaded file, untouched."""
    if payload is None:
        return None
    if payload.url and payload.url.startswith("data:"):
        return base64.b64decode(payload.url.partition(",")[2])
    return Path(payload.path) if payload.path else None


Upload = _unchecked(gr.Image, _as_file)
SliderField = _unchecked(gr.Slider, _as_is)
RadioField, DropdownField = _unchecked(gr.Radio, _as_is), _unchecked(gr.Dropdown, _as_is)
TextField = _unchecked(gr.Textbox, _as_is)


def input_component(field: Input) -> gr.components.Component:
    """The component that asks for `field`."""
    if isinstance(field, ImageInput):
        sources = ["upload", "clipboard", *(["webcam"] if field.webcam else [])]
        placeholder = f"# {field.help or 'Drop a picture here'}\nor click to choose one"
        return Upload(
            label=field.label, type="filepath", image_mode=None, sources=sources, height=300, placeholder=placeholder
        )
    info = field.help or None
    if isinstance(field, Slider):
        label = f"{field.label} ({field.unit})" if field.unit else field.label
        return SliderField(
            field.minimum, field.maximum, value=field.default, step=field.step, label=label, info=info, buttons=[]
        )
    if isinstance(field, Choice):
        return choice(field.label, [(o, o) for o in field.options], field.default, info)
    if isinstance(field, Seed):
        # A text field can be empty, which asks for a new seed; Gradio's number field would say 0.
        return TextField(value="", max_lines=1, label=field.label, info=info, placeholder="random")
    return TextField(
        value=field.default or "", lines=field.lines, max_length=field.max_chars, label=field.label, info=info
    )


def choice(label: str, options: list[tuple[str, str]], default: str, info: str | None) -> gr.components.Component:
    """Radio buttons for a few options, a dropdown for more."""
    component = RadioField if len(options) <= RADIO_UP_TO else DropdownField
    return component(choices=options, value=default, label=label, info=info)


def weights_choice(demo: Demo) -> gr.components.Component | None:
    """The choice named `weights`, on a page that has more than one set."""
    if len(demo.weights) < 2:
        return None
    return choice("Weights", [(w.title or w.name, w.name) for w in demo.weights], demo.weights[0].name, None)


def output_component(field: Output) -> gr.components.Component:
    """The component people see `field` in."""
    if isinstance(field, ImageOutput):
        return gr.Image(
            label=field.label, interactive=False, type="filepath", buttons=["download", "fullscreen"],
            alt_text=field.help or field.label,
        )  # fmt: skip
    if isinstance(field, Mask):
        return gr.File(label=field.label, interactive=False)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label, interactive=False, columns=3, object_fit="contain")
    if isinstance(field, Json) and not field.table:
        return gr.JSON(label=field.label)
    return gr.HTML(panel(field, None), apply_default_css=False)


def api_component(field: Output) -> gr.components.Component:
    """The component gradio_client gets `field` through: files for pictures, JSON for the rest."""
    if isinstance(field, ImageOutput | Mask):
        return gr.File(label=field.label, visible=False)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label, visible=False)
    return gr.JSON(label=field.label, visible=False)


def panel(field: Output, value: Any) -> str:
    """Labels and tables as the hub draws them; `value` None: nothing yet."""
    if value is None:
        body = '<p class="hub-pending">Shown here after a run.</p>'
    elif isinstance(field, Labels):
        body = html.labels(value, field.top)
    else:
        body = html.table(value)
    help = f'<p class="hub-help">{escape(field.help)}</p>' if field.help else ""
    return f'<section class="hub-panel"><h2>{escape(field.label)}</h2>{help}{body}</section>'


def shown(demo: Demo, result: Result, folder: Path) -> list[Any]:
    """A result as values of `output_component`s, in declared order."""
    values = result.values
    drawn = {f.name: panel(f, values[f.name]) for f in demo.outputs if isinstance(f, Labels) or _is_table(f)}
    return plain(demo, result, folder, drawn)


def plain(demo: Demo, result: Result, folder: Path, drawn: Mapping[str, Any] | None = None) -> list[Any]:
    """A result as values of `api_component`s, in declared order."""
    values, answers = result.values, list[Any]()
    for field in demo.outputs:
        pictures = result.pictures.get(field.name, ())
        files = [(file(result.id, field.name, n, p, folder), p.caption) for n, p in enumerate(pictures)]
        if isinstance(field, Gallery):
            answers.append(files)
        elif files:
            answers.append(files[0][0])
        else:
            answers.append((drawn or {}).get(field.name, values.get(field.name)))
    return answers


def file(id: str, name: str, number: int, picture: Picture, folder: Path) -> str:
    """Writes an encoded picture where Gradio may serve it from, as it is: Gradio would encode it again."""
    suffix = f"-{number}" if number else ""
    path = folder / id / f"{name}{suffix}.{picture.extension}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)
    return str(path)


def _is_table(field: Output) -> bool:
    return isinstance(field, Json) and field.table
