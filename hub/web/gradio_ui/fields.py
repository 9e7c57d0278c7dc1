"""Declared fields as Gradio components.

Input components hand values through unchecked: the engine checks them, so every door gives the same answer
and the same error. (Gradio's own checks would answer first, in other words; gr.Image would open the file.)
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.data_classes import FileData, ImageData, JsonData, ListFiles

from hub.errors import HubError
from hub.pages import hints, kinds
from hub.results.result import Picture, Result
from hub.spec import (
    AudioInput,
    AudioOutput,
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
    Seed,
    Slider,
    TextOutput,
    Toggle,
    VideoInput,
    VideoOutput,
)
from hub.texts import sentence
from hub.web.gradio_door import left_folders, payloads, stills
from hub.web.gradio_door.refusals import Refusal
from hub.web.gradio_ui import blocks
from hub.web.parts import html, wording

INPUT_HEIGHT = 230  # px; with it the examples and Run are above the end of a 768 px screen
MASK_HEIGHT = 132
RADIO_UP_TO = 4  # more options become a dropdown
TICKS_UP_TO = 14  # more options to tick become a dropdown


def subclass_component(base: type[Any], kind: str, **methods: Callable[..., Any]) -> type[Any]:
    """The component `base` with other methods.

    Made past Gradio's own metaclass, which would write a .pyi file beside this module at every start.
    """
    attributes = {**methods, "is_template": True, "__module__": __name__}
    return ABCMeta.__new__(type(base), f"{kind}{base.__name__}", (base,), attributes)


def _without_checks(base: type[Any], preprocess: Callable[[Any, Any], Any]) -> type[Any]:
    return subclass_component(base, "Unchecked", preprocess=preprocess)


def _as_is(self: Any, payload: Any) -> Any:
    return payload


def _as_file(self: Any, payload: Any) -> Path | bytes | None:
    """The uploaded file, untouched, even where the page shows a still of it."""
    if payload is None:
        return None
    if payload.url and not payload.path:
        try:
            return payloads.from_data_url(payload.url)
        except HubError as error:
            raise Refusal(error) from None
    return stills.find_original(Path(payload.path), payload.orig_name) if payload.path else None


def _as_one_file(self: Any, payload: Any) -> Path | None:
    """As `_as_file`, of a component that may also get a list. Gradio's own leaves an empty file behind each time."""
    return Path((payload[0] if isinstance(payload, ListFiles) else payload).path) if payload else None


def _as_browsable(self: Any, value: Any) -> ImageData | None:
    """A picture to show; where browsers would show something else than is analysed, a still that stands for it."""
    image: ImageData | None = gr.Image.postprocess(self, value)
    if image is None or not image.path:
        return image
    path = self.move_resource_to_block_cache(image.path)
    still = stills.make_still(Path(path))
    return image if still is None else ImageData(path=str(still), orig_name=path)


def _as_plain_file(self: Any, value: Any) -> FileData | None:
    """A video or sound to show again as it is: Gradio's own way looks into it, and makes another file of it."""
    return None if value is None else FileData(path=str(value), orig_name=Path(str(value)).name)


def _as_any_file(self: Any, payload: Any) -> Path | None:
    return Path(payload.path) if payload is not None and payload.path else None


def _any_json(self: Any, value: Any) -> JsonData | None:
    """gr.JSON warns of numbers, and reads text as JSON."""
    return None if value is None else JsonData(root=value)


Upload = subclass_component(gr.Image, "Unchecked", preprocess=_as_file, postprocess=_as_browsable)
VideoUpload = subclass_component(gr.Video, "Unchecked", preprocess=_as_any_file, postprocess=_as_plain_file)
AudioUpload = subclass_component(gr.Audio, "Unchecked", preprocess=_as_any_file, postprocess=_as_plain_file)
FileField = _without_checks(gr.File, _as_one_file)
AnyJson = subclass_component(gr.JSON, "Any", postprocess=_any_json)
SliderField, NumberField = _without_checks(gr.Slider, _as_is), _without_checks(gr.Number, _as_is)
ToggleField = _without_checks(gr.Checkbox, _as_is)
RadioField, DropdownField = _without_checks(gr.Radio, _as_is), _without_checks(gr.Dropdown, _as_is)
TicksField = _without_checks(gr.CheckboxGroup, _as_is)
TextField = _without_checks(gr.Textbox, _as_is)


def show_still(picture: Path | bytes | None) -> Any:
    """An uploaded picture again, where its still is to be shown; no change where the browser shows it well.

    Nothing for a file that is no picture: its run says so.
    """
    if not isinstance(picture, Path):
        return gr.skip()
    if not stills.is_picture(picture):
        return None
    return str(picture) if stills.needs_still(picture) else gr.skip()


def input_component(field: Input, options: Sequence[str] | None = None) -> gr.components.Component:
    """The component that asks for `field`; `options` are all a choice has, its weights' included."""
    if isinstance(field, ImageInput):
        sources = ["upload", "clipboard", *(["webcam"] if field.webcam else [])]
        placeholder = sentence("# Drop a photo here\nor click to choose. {help}", help=sentence(field.help))
        return Upload(
            label=field.label,
            type="filepath",
            image_mode=None,
            sources=sources,
            height=INPUT_HEIGHT if field.required else 160,
            placeholder=placeholder,
            elem_classes=[f"hub-field-{field.name}", *["hub-drawn-on"] * bool(field.draw)],
            webcam_options=gr.WebcamOptions(mirror=False),  # a mirrored left hand would be called a right one
        )
    if isinstance(field, PaintedMask):
        return Upload(
            label=field.label,
            type="filepath",
            image_mode=None,
            sources=["upload", "clipboard"],
            height=MASK_HEIGHT,
            placeholder=field.help,
            elem_classes=[f"hub-field-{field.name}", "hub-drawn"],
        )
    if isinstance(field, VideoInput):
        return VideoUpload(
            label=_with_bound(field), sources=["upload"], height=INPUT_HEIGHT,
            elem_classes=[f"hub-field-{field.name}", "hub-takes-video"],
            include_audio=False,
        )  # fmt: skip
    if isinstance(field, AudioInput):
        sources = ["upload", *(["microphone"] if field.microphone else [])]
        return AudioUpload(
            label=_with_bound(field),
            type="filepath",
            sources=sources,
            elem_classes=[f"hub-field-{field.name}", "hub-takes-audio"],
        )
    info = field.help or None
    if isinstance(field, Slider):
        label = f"{field.label} ({field.unit})" if field.unit else field.label
        return SliderField(
            field.minimum, field.maximum, value=field.default, step=field.step, label=label, info=info, buttons=[]
        )
    if isinstance(field, Number):
        label = f"{field.label} ({field.unit})" if field.unit else field.label
        return NumberField(
            value=field.default, label=label, info=info, minimum=field.minimum, maximum=field.maximum,
            step=1 if field.integer else "any",
        )  # fmt: skip
    if isinstance(field, Marks):
        return TextField(
            value="", max_lines=2, max_length=hints.MOST_CHARS, label=field.label, info=info,
            elem_classes=[f"hub-field-{field.name}", "hub-drawn"],
        )  # fmt: skip
    if isinstance(field, Toggle):
        return ToggleField(value=field.default, label=field.label, info=info)
    if isinstance(field, Choice):
        named = [(o, o) for o in options or field.options]
        return choice(field.label, named, field.default, info, growing=bool(field.options_from))
    if isinstance(field, Choices):
        return choices(field, options or field.options, info)
    if isinstance(field, Seed):
        # A text field can be empty, which asks for a new seed; Gradio's number field would say 0.
        return TextField(value="", max_lines=1, label=field.label, info=info, placeholder="random")
    return TextField(
        value=field.default or "", lines=field.lines, max_length=field.max_chars, label=field.label, info=info
    )


def _with_bound(field: VideoInput | AudioInput) -> str:
    """The label, with how long it may be: these components have no room for a line below it."""
    return sentence("{name} (at most {seconds} s)", name=sentence(field.label), seconds=f"{field.max_seconds:g}")


def choice(
    label: str, options: list[tuple[str, str]], default: str, info: str | None, growing: bool = False
) -> gr.components.Component:
    """Radio buttons for a few options, a dropdown for more; `growing`: other weights may have more."""
    component = RadioField if len(options) <= RADIO_UP_TO and not growing else DropdownField
    return component(choices=options, value=default, label=label, info=info, elem_classes="hub-choice")


def choices(field: Choices, options: Sequence[str], info: str | None) -> gr.components.Component:
    """Options to tick; a dropdown where there are many, or where other weights may have many."""
    value = list(field.default)
    if len(options) <= TICKS_UP_TO:
        return TicksField(choices=list(options), value=value, label=field.label, info=info)
    return DropdownField(choices=list(options), value=value, label=field.label, info=info, multiselect=True)


def weights_choice(demo: Demo) -> gr.components.Component | None:
    """The choice named `weights`, on a page that has more than one set."""
    if len(demo.weights) < 2:
        return None
    return choice("Weights", [(w.title or w.name, w.name) for w in demo.weights], demo.weights[0].name, None)


def output_component(field: Output) -> gr.components.Component:
    """The component people see `field` in, hidden until there is something to see: before that, a hint says what."""
    if isinstance(field, ImageOutput) and field.compare:
        return gr.ImageSlider(
            label=field.label, interactive=False, type="filepath", buttons=["download", "fullscreen"], visible=False,
            elem_classes=["hub-picture", f"hub-over-{field.compare}"],
        )  # fmt: skip
    if isinstance(field, ImageOutput):
        return gr.Image(
            label=field.label, interactive=False, type="filepath", buttons=["download", "fullscreen"],
            alt_text=field.label, visible=False, elem_classes="hub-picture",
        )  # fmt: skip
    if isinstance(field, Mask):
        return gr.File(label=field.label, interactive=False, visible=False, height=110)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label, interactive=False, columns=3, object_fit="contain", visible=False)
    if isinstance(field, Json) and not field.table:
        return gr.JSON(label=field.label, visible=False)
    if kinds.has_files_beside(field):
        return blocks.draw(partial(html.panel_of_files, field, None, ""), visible=False)
    return blocks.draw(partial(html.panel, field, None), visible=False)


def api_component(field: Output) -> gr.components.Component:
    """The component gradio_client gets `field` through: files for pictures, videos and sounds, JSON for the rest."""
    if isinstance(field, ImageOutput | Mask | VideoOutput | AudioOutput):
        return gr.File(label=field.label, visible=False)
    if isinstance(field, Gallery):
        return gr.Gallery(label=field.label, visible=False)
    return AnyJson(label=field.label, visible=False)


def fill_outputs(demo: Demo, result: Result, folder: Path, before: Mapping[str, Any]) -> list[Any]:
    """A result as values of `output_component`s, in the order of `on_page`; `before` holds the picture inputs."""
    values, answers = result.values, list[Any]()
    for field in kinds.on_page(demo):
        value = _value_of(field, result, folder)
        if field.optional and value is None:
            answers.append(gr.update(visible=False, value=None))
        elif isinstance(field, ImageOutput):  # a caption stands in the label's place; the label comes back after it
            words = wording.picture_words(field, result)
            if field.compare:  # templates/gradio/over.js says what both pictures are
                with suppress(OSError):  # the upload may be gone by now: then nothing stands beside the answer
                    value = (stills.write_browsable(before[field.compare], folder / result.id), value)
                pair = value if isinstance(value, tuple) else (value, value)
                answers.append(gr.update(visible=True, value=pair, label=words))
            else:
                answers.append(gr.update(visible=True, value=value, label=words, alt_text=words))
        elif kinds.is_table(field):  # an empty one is hidden: the other answers say that nothing was found
            answers.append(gr.update(visible=bool(value), value=html.panel(field, value)))
        else:
            if isinstance(field, Gallery) and value:
                value = [(path, wording.answer(caption)) for path, caption in value]
            elif kinds.has_files_beside(field):
                value = html.panel_of_files(field, value, f"api/v1/results/{result.id}")
            elif isinstance(field, TextOutput):
                value = html.panel(field, value)
            elif isinstance(field, Labels):
                value = html.panel(field, value, values.get(field.line))
            answers.append(gr.update(visible=True, value=value))
    return answers


def fill_api_outputs(demo: Demo, result: Result, folder: Path) -> list[Any]:
    """A result as values of `api_component`s, in declared order; None for an optional output that is not there."""
    return [
        _write_played(field, result, folder)
        if isinstance(field, VideoOutput | AudioOutput)
        else _value_of(field, result, folder)
        for field in kinds.of_client(demo)
    ]


def _write_played(field: VideoOutput | AudioOutput, result: Result, folder: Path) -> str | None:
    """The file of a video or sound, where Gradio may serve it from."""
    files = result.pictures.get(field.name, ())
    return write_picture(result.id, field.name, 1, files[1], folder) if files else None


def _value_of(field: Output, result: Result, folder: Path) -> Any:
    if field.name not in result.pictures or kinds.has_files_beside(field):
        return result.values.get(field.name)
    pictures = result.pictures[field.name]
    files = [(write_picture(result.id, field.name, n, p, folder), p.caption) for n, p in enumerate(pictures)]
    return files if isinstance(field, Gallery) else files[0][0]


def write_picture(id: str, name: str, number: int, picture: Picture, folder: Path) -> str:
    """Writes an encoded picture where Gradio may serve it from, as it is: Gradio would encode it again."""
    suffix = f"-{number}" if number else ""
    path = folder / id / f"{name}{suffix}.{picture.extension}"
    if not path.parent.exists():
        left_folders.remove_old(folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.parent.touch()  # it is in use again
    if not path.exists():
        path.write_bytes(picture.data)
    return str(path)
