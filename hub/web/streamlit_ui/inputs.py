"""Declared inputs as Streamlit widgets. Values go to the engine unchecked, so that every door has the same errors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import DeletedFile

from hub.decoding import budget
from hub.decoding.played import media
from hub.decoding.stills import look_at
from hub.errors import HubError
from hub.hub import Hub
from hub.images import thumbnail
from hub.pages.registry import Page
from hub.spec import (
    AudioInput,
    Choice,
    Choices,
    Demo,
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
from hub.texts import say
from hub.web.parts import snippets
from hub.web.streamlit_ui.text import escape_markdown, say_plainly
from hub.weights import facts

RADIO_UP_TO = 4  # more options become a dropdown
TICKS_UP_TO = 14  # more options to tick become a dropdown
PREVIEW_SIDE = 1024  # pixels
UPLOAD, CAMERA = "Upload", "Camera"
TYPES: dict[type[Any], str | list[str]] = {
    ImageInput: "image",
    PaintedMask: "image",
    VideoInput: ["mp4", "mov", "m4v", "webm", "mkv"],
    AudioInput: ["wav", "mp3", "flac", "ogg", "oga", "opus", "m4a", "mp4", "webm"],
}
MEDIA_TYPES = {media.MP4: "video/mp4", "matroska": "video/webm", "mp3": "audio/mpeg"}
WEIGHTS = "weights"


@dataclass(frozen=True, slots=True)
class Given:
    """A picture that was given: its file's bytes, and what of it is shown."""

    data: bytes
    title: str
    preview: bytes = b""  # JPEG, as the engine will see it, but smaller; empty: it cannot be read
    problem: str = ""


def preview_picture(hub: Hub, data: bytes, title: str) -> Given:
    """Never raises: a picture that cannot be read says so on the page, and again when it is run."""
    try:
        with budget.room():
            return Given(data, title, thumbnail(look_at(data, hub.limits), PREVIEW_SIDE, "view"))
    except HubError as error:
        return Given(data, title, problem=error.message)


@dataclass(slots=True)
class Values:
    """A page's inputs in one session. Streamlit forgets a widget's value once its page is left; this does not."""

    settings: dict[str, Any] = field(default_factory=dict)  # by input name; all but pictures
    pictures: dict[str, Given] = field(default_factory=dict)
    uploads: int = 0  # a new number makes new, empty widgets for uploads
    source: tuple[str, str] | None = None  # what of an address brought the pictures: ("example", "2")

    def fill(self, page: Page, values: Mapping[str, Any], pictures: Mapping[str, Given]) -> None:
        """Puts these in. To be called before the widgets are drawn, or in a callback."""
        for name, value in values.items():
            self.settings[name] = st.session_state[key(page, name)] = widget_value(page.demo, name, value)
        self.pictures |= pictures
        self.uploads += bool(pictures)

    def all(self) -> dict[str, Any]:
        """What the engine gets."""
        return {**self.settings, **{name: picture.data for name, picture in self.pictures.items()}}


def key(page: Page, name: str) -> str:
    return f"{page.slug}/{name}"


def defaults(demo: Demo) -> dict[str, Any]:
    """Of everything but pictures, as declared."""
    values = {f.name: getattr(f, "default", None) for f in demo.inputs if not isinstance(f, FileInput)}
    return {**values, **({WEIGHTS: demo.weights[0].name} if len(demo.weights) > 1 else {})}


def widget_value(demo: Demo, name: str, value: Any) -> Any:
    """A value as its widget has it."""
    entry = next((f for f in demo.inputs if f.name == name), None)
    if isinstance(entry, Choices):
        return list(value or ())
    if isinstance(entry, Seed):
        return "" if value is None else str(value)
    if isinstance(entry, Slider):
        return int(value) if entry.integer else float(value)
    if isinstance(entry, Number):
        return None if value is None else int(value) if entry.integer else float(value)
    if isinstance(entry, Toggle):
        return bool(value)
    return "" if value is None else value


# --- drawing --------------------------------------------------------------------------------------


def picture(hub: Hub, page: Page, entry: FileInput, values: Values) -> None:
    """Asks for one picture, video or sound, and shows the one that is there."""
    source = UPLOAD
    if isinstance(entry, ImageInput) and entry.webcam:
        source = st.segmented_control(
            say_plainly("Where from"), [UPLOAD, CAMERA], default=UPLOAD, format_func=say, required=True,
            label_visibility="collapsed", key=f"{key(page, entry.name)}/source",
        )  # fmt: skip
    widget = f"{key(page, entry.name)}/{source}/{values.uploads}"
    options: dict[str, Any] = {
        "key": widget,
        "help": say_plainly(entry.help) or None,
        "on_change": _take_picture,
        "args": (hub, values, entry, widget),
    }
    name = say(entry.label)
    if isinstance(entry, VideoInput | AudioInput):
        name = say("{name} (at most {seconds} s)", name=name, seconds=f"{entry.max_seconds:g}")
    label = escape_markdown(name) if entry.required else say_plainly("{name} (optional)", name=name)
    if source == CAMERA:
        st.camera_input(label, **options)
    else:
        most = math.ceil(hub.limits.max_bytes / 2**20)
        st.file_uploader(label, type=TYPES[type(entry)], max_upload_size=most, **options)
    there = values.pictures.get(entry.name)
    if there is not None and there.preview and isinstance(entry, VideoInput):
        st.video(there.data, format=_media_type(there.data))
    elif there is not None and there.preview and isinstance(entry, AudioInput):
        st.audio(there.data, format=_media_type(there.data))
    elif there is not None and there.preview:
        st.image(there.preview, caption=say_plainly(there.title), alt=say(there.title))
    elif there is not None:
        st.error(say_plainly(there.problem), icon=":material/error:")
    if there is not None and not entry.required:
        st.button(
            say_plainly("Without it"), key=f"{key(page, entry.name)}/out", on_click=_leave_out, args=(values, entry)
        )


def _media_type(data: bytes) -> str:
    """As browsers are told what they play."""
    reader, kind = media.kind_of(data)
    return MEDIA_TYPES.get(reader, f"audio/{kind.lower()}")


def _leave_out(values: Values, entry: FileInput) -> None:
    values.pictures.pop(entry.name, None)
    values.uploads += 1
    values.source = None


def _take_picture(hub: Hub, values: Values, entry: FileInput, widget: str) -> None:
    """A picture was chosen, or the one that was there removed."""
    file = st.session_state.get(widget)
    if isinstance(file, DeletedFile):  # Streamlit let go of it, and the picture is here already
        return
    values.source = None
    if file is None:
        values.pictures.pop(entry.name, None)
    else:
        values.pictures[entry.name] = preview_picture(hub, file.getvalue(), file.name)


def weights(hub: Hub, page: Page, values: Values) -> None:
    """The choice of weights, where there is one. Others bring their own defaults, so before what has them."""
    if len(page.demo.weights) < 2:
        return
    titles, before = {w.name: w.title or w.name for w in page.demo.weights}, values.settings[WEIGHTS]
    values.settings[WEIGHTS] = _choice(page, values, WEIGHTS, say_plainly("Weights"), list(titles), None, titles)
    if values.settings[WEIGHTS] != before:
        values.fill(page, facts.own_defaults(hub.weights, page, values.settings[WEIGHTS]), {})


def setting(hub: Hub, page: Page, entry: Input, values: Values) -> None:
    """Asks for one input that is no picture."""
    name, help = key(page, entry.name), say_plainly(getattr(entry, "help", "")) or None
    label = say_plainly(entry.label)
    st.session_state.setdefault(name, values.settings[entry.name])
    value: Any = None
    if isinstance(entry, Slider):
        number = int if entry.integer else float
        low, high, step = number(entry.minimum), number(entry.maximum), number(entry.step)
        label = say_plainly(f"{entry.label} ({entry.unit})") if entry.unit else label
        value = st.slider(label, low, high, step=step, key=name, help=help)
    elif isinstance(entry, Number):
        label = say_plainly(f"{entry.label} ({entry.unit})") if entry.unit else label
        # What is typed beyond the bounds goes to the engine, whose error names them: Streamlit's would not be ours.
        value = st.number_input(label, step=1 if entry.integer else None, format=None, key=name, help=help)
    elif isinstance(entry, Toggle):
        value = st.toggle(label, key=name, help=help)
    elif isinstance(entry, Choice | Choices):
        weights_name = values.settings.get(WEIGHTS) or next((w.name for w in page.demo.weights), "")
        options = facts.options(hub.weights, page, weights_name).get(entry.name, entry.options)
        if isinstance(entry, Choice):
            value = _choice(page, values, entry.name, label, list(options), help, growing=bool(entry.options_from))
        else:
            value = _choices(name, label, list(options), help)
    elif isinstance(entry, Marks):
        value = st.text_input(label, key=name, help=help, placeholder=snippets.MARKS[entry.kind])
    elif isinstance(entry, Seed):
        value = st.text_input(label, key=name, help=help, placeholder=say("random"))
    elif isinstance(entry, Text) and entry.lines > 1:
        value = st.text_area(label, key=name, help=help, max_chars=entry.max_chars)
    elif isinstance(entry, Text):
        value = st.text_input(label, key=name, help=help, max_chars=entry.max_chars)
    values.settings[entry.name] = value


def _choice(
    page: Page,
    values: Values,
    name: str,
    label: str,
    options: list[str],
    help: str | None,
    titles: Mapping[str, str] | None = None,
    growing: bool = False,
) -> str:
    """Buttons for a few options, a dropdown for more; `growing`: other weights may have more."""
    widget = key(page, name)
    if st.session_state.setdefault(widget, values.settings[name]) not in options:  # other weights have others
        st.session_state[widget] = defaults(page.demo)[name]
    labels = {one: say((titles or {}).get(one, one)) for one in options}
    if len(options) <= RADIO_UP_TO and not growing:
        return str(
            st.radio(label, options, key=widget, help=help, format_func=lambda one: escape_markdown(labels[one]))
        )
    return str(st.selectbox(label, options, key=widget, help=help, format_func=lambda one: labels[one]))


def _choices(widget: str, label: str, options: Sequence[str], help: str | None) -> list[str]:
    st.session_state[widget] = [one for one in st.session_state[widget] if one in options]
    if len(options) <= TICKS_UP_TO:
        return list(st.pills(label, options, selection_mode="multi", key=widget, help=help, format_func=say_plainly))
    return list(st.multiselect(label, options, key=widget, help=help, format_func=say))
