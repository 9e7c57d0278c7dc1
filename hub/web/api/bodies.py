"""Request bodies -> inputs by name, bounded in bytes while they arrive. Pictures stay as they came."""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from hub.errors import InputError, UnsupportedMediaError
from hub.spec import Choices, Demo, ImageInput
from hub.suggest import unknown
from hub.web.middleware.bounds import PARTS, SLACK_BYTES, pieces
from hub.web.problems import MalformedError

DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]*)*;base64,", re.IGNORECASE)
WANTED = (
    "Send multipart/form-data (files and fields by input name), application/x-www-form-urlencoded (without files) or "
    "application/json (pictures in base64)."
)


async def read_inputs(request: Request, demo: Demo, picture_bytes: int) -> Callable[[], dict[str, Any]]:
    """Reads the body; returns what makes inputs of it, to be called in a thread. Raises HubError.

    `picture_bytes` is the most one picture may have; the body may have that for each declared picture.
    """
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    pictures = frozenset(f.name for f in demo.inputs if isinstance(f, ImageInput))
    limit = picture_bytes * len(pictures) + SLACK_BYTES
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMediaError("Compressed bodies are not read; send it without Content-Encoding.")
    if media_type == b"multipart/form-data":
        form = await _read_form(request, options.get(b"boundary", b""), limit)
        return lambda: _form_inputs(form, demo, pictures)
    is_json = media_type == b"application/json" or media_type.endswith(b"+json")
    is_form = media_type == b"application/x-www-form-urlencoded"  # as curl -d and a form without files send it
    given = media_type.decode("latin-1") or "no Content-Type"

    def refuse(piece: bytes) -> None:
        if piece:
            raise UnsupportedMediaError(
                "The body is {given}, which is not read here. {wanted}", given=given[:100], wanted=WANTED
            )

    body = bytearray()
    read = is_json or is_form
    async for piece in pieces(request, limit * 4 // 3 if is_json else SLACK_BYTES, len if read else refuse):
        body += piece
    if is_json:
        return lambda: _json_inputs(body, pictures)
    if is_form:
        return lambda: _form_inputs(_plain_form(body), demo, pictures)
    return dict  # a demo whose inputs all have defaults needs none; others name the first that is missing


async def read_texts(request: Request, names: Sequence[str], required: Sequence[str]) -> dict[str, str]:
    """A small JSON object of texts by name. Raises HubError."""
    given = await read_object(request, names, required)
    for name, value in given.items():
        if not isinstance(value, str):
            raise InputError("{name} must be text, got {given}.", name=name, given=type(value).__name__, field=name)
    return given


async def read_object(request: Request, names: Sequence[str], required: Sequence[str] = ()) -> dict[str, Any]:
    """A small JSON object with some of these names; an empty body is one where none is required. Raises HubError."""
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type != b"application/json":  # which another website's form cannot send
        raise UnsupportedMediaError("Send application/json with {listed}.", listed=", ".join(names))
    body = bytearray()
    async for piece in pieces(request, SLACK_BYTES):
        body += piece
    if not body and not required:
        return {}
    given = _json_inputs(body, frozenset())
    for name in given:
        if name not in names:
            raise InputError(unknown("field", str(name), names), field=str(name))
    for name in required:
        if not given.get(name):
            raise InputError("{name} is missing.", name=name, field=name)
    return given


# --- multipart ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """One part of a form. `filename` is None for a plain field."""

    name: str = ""
    filename: str | None = None
    disposition: bytes = b""
    data: bytearray = field(default_factory=bytearray)


class _Form:
    """Collects parts from the parser's callbacks."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.complete = False
        self._name = self._value = b""

    def callbacks(self) -> dict[str, Callable[..., None]]:
        names = ("part_begin", "part_data", "header_field", "header_value", "header_end", "headers_finished", "end")
        return {f"on_{name}": getattr(self, name) for name in names}

    def part_begin(self) -> None:
        if len(self.parts) == PARTS:
            raise MalformedError("The form has more than {max_parts} parts.", max_parts=PARTS)
        self.parts.append(_Part())

    def part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].data += memoryview(data)[start:end]

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._name.lower() == b"content-disposition":
            self.parts[-1].disposition = self._value
        self._name = self._value = b""

    def headers_finished(self) -> None:
        part = self.parts[-1]
        _, options = parse_options_header(part.disposition)
        if b"name" not in options:
            raise MalformedError("A part of the form has no name; each needs one, which is the input's.")
        part.name = options[b"name"].decode("utf-8", "replace")
        if b"filename" in options:
            part.filename = options[b"filename"].decode("utf-8", "replace")

    def end(self) -> None:
        self.complete = True


async def _read_form(request: Request, boundary: bytes, limit: int) -> list[_Part]:
    if not boundary:
        raise MalformedError("Content-Type is multipart/form-data without a boundary; let your client set it.")
    form = _Form()
    try:
        parser = MultipartParser(boundary, form.callbacks())  # type: ignore[arg-type]  # a TypedDict of the same
        async for piece in pieces(request, limit):
            parser.write(piece)
    except FormParserError as error:
        raise MalformedError("The body is not valid multipart/form-data: {reason}.", reason=error) from None
    if not form.complete:
        raise MalformedError("The form ends before its closing boundary; was the upload cut off?")
    return form.parts


def _plain_form(body: bytearray) -> list[_Part]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS, errors="strict")
    except UnicodeDecodeError:
        raise MalformedError("The form is not valid UTF-8 text.") from None
    except ValueError:
        raise MalformedError("The form has more than {max_parts} parts.", max_parts=PARTS) from None
    return [_Part(name, data=bytearray(value.encode())) for name, value in pairs]


def _form_inputs(parts: list[_Part], demo: Demo, pictures: frozenset[str]) -> dict[str, Any]:
    known = {f.name for f in demo.inputs}
    several = {f.name for f in demo.inputs if isinstance(f, Choices)}
    inputs: dict[str, Any] = {}
    for part in parts:
        name = part.name
        if name in inputs and name not in several:
            raise InputError("{name} is given more than once; give it once.", name=name, field=name)
        if name in pictures:  # a browser sends an empty part without a file name when no file was chosen
            inputs[name] = None if not part.data and not part.filename else bytes(part.data)
            part.data.clear()  # the form is held as long as the run is in work
        elif part.filename is not None and name in known:
            raise InputError(
                "{name} is not a picture; send it as a plain form field, not as a file.", name=name, field=name
            )
        else:
            try:
                text = part.data.decode()
            except UnicodeDecodeError:
                raise InputError("{name} is not valid UTF-8 text.", name=name, field=name) from None
            before = inputs.get(name)
            inputs[name] = text if name not in inputs else [*(before if isinstance(before, list) else [before]), text]
    return inputs


# --- JSON -----------------------------------------------------------------------------------------


def _json_inputs(body: bytearray, pictures: frozenset[str]) -> dict[str, Any]:
    if not body.strip():
        raise MalformedError('The body is empty; send a JSON object with the inputs by name, such as {"seed": 1}.')
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        body.clear()  # it is held as long as the run is in work
        inputs = json.loads(text, object_pairs_hook=_once)
        del text
    except RecursionError:
        raise MalformedError("The body is JSON nested too deeply.") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, or a number of thousands of digits
        raise MalformedError("The body is not valid JSON: {reason}.", reason=error) from None
    if not isinstance(inputs, dict):
        raise MalformedError(
            "The body must be a JSON object with the inputs by name, got {kind}.", kind=type(inputs).__name__
        )
    return {name: picture(name, value) if name in pictures else value for name, value in inputs.items()}


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise InputError("{name} is given more than once; give it once.", name=name, field=name)
        found[name] = value
    return found


def picture(name: str, value: Any) -> Any:
    """Base64, plain or as a data: URL -> bytes. Anything but text is the engine's to refuse."""
    if not isinstance(value, str) or not value:
        return value
    begin = DATA_URL.match(value[:200])
    text = value[begin.end() :] if begin else value
    try:
        # Encoders may break lines.
        return base64.b64decode(text.encode("ascii").translate(None, string.whitespace.encode()), validate=True)
    except (binascii.Error, ValueError):
        raise InputError(
            "{name} is not valid base64; give the picture file's bytes in base64, plain or as a data: URL.",
            name=name,
            field=name,
        ) from None
