"""Checks what came through a door against a demo's declared inputs; decodes pictures when asked to."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from PIL import Image

from hub.decoding import budget
from hub.decoding.decode import Enough, ImageLimits, declared, decode
from hub.decoding.played import audio, video
from hub.errors import DeclarationError, InputError, TooLargeError
from hub.images import encode
from hub.pages import hints
from hub.pages.values import described, read_choice, read_choices, read_number, read_seed, read_switch, read_text
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
)  # fmt: skip
from hub.suggest import unknown
from hub.texts import Sentence, sentence

LEND_S = 2.0  # a picture whose model takes longer makes room for others'; it is decoded again afterwards
NO_FIELDS: Mapping[str, Input] = MappingProxyType({})
Config = Callable[[str], Mapping[str, Any]]  # weights by name -> their config.json


@dataclass(frozen=True, slots=True)
class Inputs:
    """Checked inputs of one run. Files stay undecoded until they are needed: a hit never decodes."""

    parameters: dict[str, Any]  # JSON-able values of all fields but files
    pictures: dict[str, bytes]  # pictures, videos and sounds, encoded as they came
    digests: dict[str, str]  # sha256 of each file's bytes
    weights: str | None  # name of the chosen weights; None: the demo has none


def decoded(
    parameters: Mapping[str, Any],
    pictures: Mapping[str, bytes],
    limits: ImageLimits,
    remarks: list[Sentence] | None = None,
    enough: Mapping[str, Enough] | None = None,
    fields: Mapping[str, Input] = NO_FIELDS,
) -> dict[str, Any]:
    """All inputs as `prepare` and `present` get them. Raises InputError for a bad file.

    `remarks` is given what a reader should know of how the pictures were read. `enough`: of pictures that may come
    reduced. `fields`: the declared inputs by name, of pages that take more than pictures.
    """
    enough = enough or {}
    played = {
        name: _played(fields[name], data, limits)
        for name, data in pictures.items()
        if isinstance(fields.get(name), VideoInput | AudioInput)
    }
    pictures = {name: data for name, data in pictures.items() if name not in played}
    if len(pictures) > 1:  # in one go: two runs that each hold one and wait for another would wait for ever
        pixels = {name: declared(data, limits, enough.get(name)) for name, data in pictures.items()}
        budget.reserve(sum(max(count, _on(fields.get(name), pixels)) for name, count in pixels.items()))
    images = {
        name: decode(data, limits, field=name, remarks=remarks, enough=enough.get(name))
        for name, data in pictures.items()
    }
    return hints.drawn_on({**parameters, **images, **played}, fields)


def _on(field: Input | None, pixels: Mapping[str, int]) -> int:
    """The pixels of the picture that a mask is made as large as."""
    return pixels.get(field.on, 0) if isinstance(field, PaintedMask) else 0


def _played(field: Input | None, data: bytes, limits: ImageLimits) -> Any:
    """A video as a clip, a sound as samples."""
    if isinstance(field, VideoInput):
        return video.read(data, limits, name=field.name, max_seconds=field.max_seconds, rate=field.rate)
    assert isinstance(field, AudioInput)
    return audio.read(data, limits, name=field.name, max_seconds=field.max_seconds, sample_rate=field.sample_rate)


class Opened:
    """A run's inputs with its pictures decoded, in the run's room of the budget."""

    def __init__(
        self,
        parameters: Mapping[str, Any],
        pictures: Mapping[str, bytes],
        limits: ImageLimits,
        room: budget.PixelRoom,
        enough: Mapping[str, Enough],
        fields: Mapping[str, Input] = NO_FIELDS,
    ):
        self._parameters, self._pictures, self._limits, self._room = parameters, pictures, limits, room
        self._enough, self._fields = enough, fields
        self._values: dict[str, Any] | None = None
        self._since = time.monotonic()
        self.remarks: list[Sentence] = []

    def values(self) -> dict[str, Any]:
        """As `prepare` and `present` get them; decoded again if they were lent. Raises HubError."""
        if self._values is None:
            self.remarks = []
            self._values = decoded(
                self._parameters, self._pictures, self._limits, self.remarks, self._enough, self._fields
            )
            self._since = time.monotonic()
        return self._values

    def forget(self) -> None:
        """Drops the pictures, which nobody needs any more; the room stays, for what was made of them."""
        self._values = None

    def lend(self) -> None:
        """Gives the room to others who wait for it: a queue for a slow model must not keep every other page's out."""
        if self._values is not None and time.monotonic() - self._since > LEND_S and self._room.is_wanted:
            self._values = None
            self._room.give_back()


def read(demo: Demo, raw: Mapping[str, Any], limits: ImageLimits | None = None, config: Config | None = None) -> Inputs:
    """Checks `raw` (values by input name). Raises InputError that says what was given and what is allowed.

    Files may be `bytes` or a `Path`, pictures also a `PIL.Image`; numbers may be text, as forms and flags send them.
    `config` finds the options and defaults that come from the weights; without it any text passes for one of those
    options, and declared defaults stand.
    """
    limits = limits or ImageLimits()
    fields = {f.name: f for f in demo.inputs}
    _refuse_unknown(raw, [*fields, "weights"] if demo.weights else [*fields])
    weights = _weights(demo, raw.get("weights"))
    parameters: dict[str, Any] = {}
    pictures: dict[str, bytes] = {}
    for name, entry in fields.items():
        value = raw.get(name)
        if isinstance(entry, FileInput):
            if entry.required or (value is not None and value != ""):
                pictures[name] = read_file(entry, value, limits)
        else:
            parameters[name] = _value(entry, value, weights, config)
    hints.check_pictures(fields, {**parameters, **pictures})
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in pictures.items()}
    return Inputs(parameters, pictures, digests, weights)


def parameters(
    demo: Demo, raw: Mapping[str, Any], weights: str | None = None, config: Config | None = None
) -> dict[str, Any]:
    """Some of the inputs that are not files, checked as `read` does. Raises InputError."""
    fields = {f.name: f for f in demo.inputs if not isinstance(f, FileInput)}
    _refuse_unknown(raw, list(fields))
    return {name: _value(fields[name], value, weights, config) for name, value in raw.items()}


def options(entry: Choice | Choices, weights: str, config: Mapping[str, Any]) -> tuple[str, ...]:
    """The declared options, then those of the weights. Raises DeclarationError when config.json has no such list."""
    if not entry.options_from:
        return entry.options
    value = config.get(entry.options_from)
    entries = value if isinstance(value, list | tuple) else ()
    entry_names = [e.get("name") if isinstance(e, Mapping) else e for e in entries]
    names = [name for name in entry_names if isinstance(name, str) and name]
    if not names or names != entry_names:
        raise DeclarationError(
            "config.json of the weights {weights!r} must have a list {options_from!r} of texts, or of objects "
            'with "name", for the input {name!r}.',
            weights=weights,
            options_from=entry.options_from,
            name=entry.name,
            field=entry.name,
        )
    return tuple(dict.fromkeys([*entry.options, *names]))


def default(entry: Slider, weights: str, config: Mapping[str, Any]) -> int | float:
    """The declared default, or that of the weights. Raises DeclarationError when config.json has no such number."""
    if not entry.default_from:
        return entry.default
    value = config.get(entry.default_from)
    if isinstance(value, int | float):
        with suppress(InputError):  # the text below says what to mend, and where
            return read_number(entry, value, value)
    kind = "a whole number" if entry.integer else "a number"
    raise DeclarationError(
        "config.json of the weights {weights!r} must have {kind} {default_from!r} between {minimum:g} and "
        "{maximum:g} for the input {name!r}, got {given}.",
        weights=weights,
        kind=kind,
        default_from=entry.default_from,
        minimum=entry.minimum,
        maximum=entry.maximum,
        name=entry.name,
        given=described(value),
        field=entry.name,
    )


def _refuse_unknown(raw: Mapping[str, Any], allowed: list[str]) -> None:
    for name in raw:
        if name not in allowed:
            raise InputError(unknown("input", str(name), allowed), field=str(name))


def _weights(demo: Demo, value: Any) -> str | None:
    names = [w.name for w in demo.weights]
    if value is None or value == "":
        return names[0] if names else None
    if value not in names:
        raise InputError(unknown("weights", str(value), names), field="weights")
    return str(value)


def _value(entry: Input, value: Any, weights: str | None, config: Config | None) -> Any:
    if isinstance(entry, Slider):
        # Also where a value is given: weights without their number should say so at the first run.
        own = config(weights) if entry.default_from and config and weights else None
        return read_number(entry, value, entry.default if own is None else default(entry, weights or "", own))
    if isinstance(entry, Choice | Choices):
        unsure = bool(entry.options_from) and (config is None or weights is None)
        choices = None if unsure else options(entry, weights or "", config(weights) if config and weights else {})
        return read_choice(entry, value, choices) if isinstance(entry, Choice) else read_choices(entry, value, choices)
    if isinstance(entry, Seed):
        return read_seed(entry, value)
    if isinstance(entry, Number):
        return read_number(entry, value, entry.default)
    if isinstance(entry, Toggle):
        return read_switch(entry, value)
    if isinstance(entry, Marks):
        return hints.read_marks(entry, value)
    assert isinstance(entry, Text)
    return read_text(entry, value)


MISSING: Mapping[type[Input], str] = {
    ImageInput: "{name} is missing: give a picture (JPEG, PNG or WebP, for example).",
    VideoInput: "{name} is missing: give a video (MP4 or WebM, for example).",
    AudioInput: "{name} is missing: give a sound (WAV or MP3, for example).",
    PaintedMask: "{name} is missing: paint on the picture, or give one that is white where the area is.",
}
FILES: Mapping[type[Input], str] = {
    ImageInput: "a picture file",
    VideoInput: "a video file",
    AudioInput: "a sound file",
    PaintedMask: "a picture file",
}


def read_file(entry: FileInput, value: Any, limits: ImageLimits) -> bytes:
    """The bytes of a file input, no more of them than `limits` say. Raises InputError."""
    name = entry.name
    if value is None or (isinstance(value, str) and not value):
        raise InputError(MISSING[type(entry)], name=name, field=name)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, Image.Image) and isinstance(entry, ImageInput | PaintedMask):
        return encode(value if value.mode in ("L", "RGB", "RGBA") else value.convert("RGB"), "png")
    if isinstance(value, Path):
        try:
            with value.open("rb") as file:  # which may be a device that never ends
                data = file.read(limits.max_bytes + 1)
            if len(data) > limits.max_bytes:
                size, most = max(value.stat().st_size, len(data)) / 2**20, limits.max_bytes / 2**20
                raise TooLargeError(
                    "{name} has {size:.1f} MB; at most {most:g} MB are read. Make it smaller and try again.",
                    name=name,
                    size=size,
                    most=most,
                    field=name,
                )
            return data
        except OSError as error:
            raise InputError(
                "{name}: cannot read {value}: {reason}.", name=name, value=value, reason=error.strerror, field=name
            ) from None
    raise InputError(
        "{name} must be {what}, got {given}.",
        name=name,
        what=sentence(FILES[type(entry)]),
        given=described(value),
        field=name,
    )
