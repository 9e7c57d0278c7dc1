"""Request bodies -> inputs by name, bounded in bytes while they arrive. Pictures stay as they came."""

from __future__ import annotations

import base64
import binascii
import json
import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from python_multipart.multipart import parse_options_header
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from hub.errors import InputError, TooLargeError, UnsupportedMediaError
from hub.pages import kinds
from hub.spec import Choices, Demo
from hub.suggest import unknown
from hub.web.middleware.bounds import PARTS, SLACK_BYTES, Parts, pieces
from hub.web.problems import MalformedError

WISHES_BYTES = 64 * 2**10
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
    pictures = frozenset(kinds.file_inputs(demo))
    limit = picture_bytes * len(pictures) + SLACK_BYTES
    if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
        raise UnsupportedMediaError("Compressed bodies are not read; send it without Content-Encoding.")
    if media_type == b"multipart/form-data":
        form = await _read_form(request, options.get(b"boundary", b""), limit)
        return lambda: _form_inputs(form, demo, pictures)
    is_json = media_type == b"application/json" or media_type.endswith(b"+json")
    is_form = media_type == b"application/x-www-form-urlencoded"  # as curl -d and a form without files send it
    sent_type = media_type.decode("latin-1") or "no Content-Type"

    def refuse(piece: bytes) -> None:
        if piece:
            raise UnsupportedMediaError(
                "The body is {given}, which is not read here. {wanted}", given=sent_type[:100], wanted=WANTED
            )

    body = bytearray()
    read = is_json or is_form
    async for piece in pieces(request, limit * 4 // 3 if is_json else SLACK_BYTES, len if read else refuse):
        body += piece
    if is_json:
        return lambda: _json_inputs(body, pictures)
    if is_form:
        return lambda: _form_inputs(_parse_fields(body), demo, pictures)
    return dict  # a demo whose inputs all have defaults needs none; others name the first that is missing


async def read_texts(request: Request, names: Sequence[str], required: Sequence[str]) -> dict[str, str]:
    """A small JSON object of texts by name. Raises HubError."""
    texts = await read_object(request, names, required)
    for name, value in texts.items():
        if not isinstance(value, str):
            raise InputError("{name} must be text, got {given}.", name=name, given=type(value).__name__, field=name)
    return texts


async def read_object(request: Request, names: Sequence[str], required: Sequence[str]) -> dict[str, Any]:
    """A small JSON object with some of these names. Raises HubError."""
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type != b"application/json":  # which another website's form cannot send
        raise UnsupportedMediaError("Send application/json with {listed}.", listed=", ".join(names))
    body = bytearray()
    async for piece in pieces(request, SLACK_BYTES):
        body += piece
    fields = _json_inputs(body, frozenset())
    _check_fields(fields, names)
    for name in required:
        if not fields.get(name):
            raise InputError("{name} is missing.", name=name, field=name)
    return fields


async def read_wishes(request: Request, names: Sequence[str]) -> dict[str, Any]:
    """A very small JSON object with some of these names, or nothing at all. Raises HubError.

    A name that is given twice counts as it was given last: clients of links have always been read so.
    """
    too_large = TooLargeError("The request has more than the {most} KB that are read.", most=WISHES_BYTES // 2**10)
    body = bytearray()
    async for piece in pieces(request, WISHES_BYTES, too_large=too_large):
        body += piece
    media_type, _ = parse_options_header(request.headers.get("content-type", ""))
    if media_type != b"application/json":  # which another website's form cannot send
        raise UnsupportedMediaError(
            "Send application/json, with {listed} or {{}}; got {given}.",
            listed=", ".join(names),
            given=media_type.decode("latin-1")[:60] or "none",
        )
    fields = _parse_json(body, dict) if body else {}
    if not isinstance(fields, dict):
        raise InputError("The body must be a JSON object, got a {kind}.", kind=type(fields).__name__)
    _check_fields(fields, names)
    return fields


def _check_fields(fields: Mapping[str, Any], names: Sequence[str]) -> None:
    """Raises InputError for the first name that is not among these."""
    for name in fields:
        if name not in names:
            raise InputError(unknown("field", name, names), field=name)


# --- multipart ------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Part:
    """One part of a form. `filename` is None for a plain field."""

    name: str
    filename: str | None
    data: bytes


class _InMemory(MultiPartParser):
    """Keeps files in memory: their bytes are bounded and counted while they arrive, and no disk is."""

    spool_max_size = 0  # by which SpooledTemporaryFile never writes to the disk


async def _read_form(request: Request, boundary: bytes, limit: int) -> list[_Part]:
    parts = Parts(boundary)
    # As latin-1 every byte is a character: a picture may come as a plain field, and text that is no UTF-8 is refused
    # with its input's name.
    quoted = boundary.decode("latin-1").replace("\\", "\\\\").replace('"', '\\"')
    headers = Headers({"Content-Type": f'multipart/form-data; charset=latin-1; boundary="{quoted}"'})
    stream = pieces(request, limit, parts.look)
    try:
        parser = _InMemory(headers, stream, max_files=PARTS, max_fields=PARTS, max_part_size=limit)
        form = await parser.parse()
    except MultiPartException:  # `parts` and the limit have refused all else before
        raise MalformedError("A part of the form has no name; each needs one, which is the input's.") from None
    if not parts.complete:
        raise MalformedError("The form ends before its closing boundary; was the upload cut off?")
    return [_read_part(name, value) for name, value in form.multi_items()]


def _read_part(name: str, value: UploadFile | str) -> _Part:
    filename, data = None, b""
    if isinstance(value, str):
        data = value.encode("latin-1")
    else:
        filename, data = value.filename or "", value.file.read()
        value.file.close()
    return _Part(name.encode("latin-1").decode("utf-8", "replace"), filename, data)


def _parse_fields(body: bytearray) -> list[_Part]:
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=PARTS, errors="strict")
    except UnicodeDecodeError:
        raise MalformedError("The form is not valid UTF-8 text.") from None
    except ValueError:
        raise MalformedError("The form has more than {max_parts} parts.", max_parts=PARTS) from None
    return [_Part(name, None, value.encode()) for name, value in pairs]


def _form_inputs(parts: list[_Part], demo: Demo, pictures: frozenset[str]) -> dict[str, Any]:
    names = {f.name for f in demo.inputs}
    several = {f.name for f in demo.inputs if isinstance(f, Choices)}
    inputs: dict[str, Any] = {}
    for part in parts:
        name = part.name
        if name in inputs and name not in several:
            raise InputError("{name} is given more than once; give it once.", name=name, field=name)
        if name in pictures:  # a browser sends an empty part without a file name when no file was chosen
            inputs[name] = None if not part.data and not part.filename else part.data
            part.data = b""  # the form lives as long as the run; its pictures need not
        elif part.filename is not None and name in names:
            raise InputError("{name} is no file; send it as a plain form field, not as a file.", name=name, field=name)
        else:
            try:
                text = part.data.decode()
            except UnicodeDecodeError:
                if name in names:
                    raise InputError("{name} is not valid UTF-8 text.", name=name, field=name) from None
                text = part.data[:60].decode(errors="replace")  # whoever reads the inputs says which there are
            before = inputs.get(name)
            inputs[name] = text if name not in inputs else [*(before if isinstance(before, list) else [before]), text]
    return inputs


# --- JSON -----------------------------------------------------------------------------------------


def _json_inputs(body: bytearray, pictures: frozenset[str]) -> dict[str, Any]:
    if not body.strip():
        raise MalformedError('The body is empty; send a JSON object with the inputs by name, such as {"seed": 1}.')
    inputs = _parse_json(body, _refuse_repeated)
    if not isinstance(inputs, dict):
        raise MalformedError(
            "The body must be a JSON object with the inputs by name, got {kind}.", kind=type(inputs).__name__
        )
    return {name: decode_picture(name, value) if name in pictures else value for name, value in inputs.items()}


def _parse_json(body: bytearray, object_of: Callable[[list[tuple[str, Any]]], dict[str, Any]]) -> Any:
    """What a body says, which is emptied. `object_of` makes an object of its pairs. Raises MalformedError."""
    try:
        text = body.decode(json.detect_encoding(body), "surrogatepass")
        body.clear()  # the caller holds it as long as the run is in work
        return json.loads(text, object_pairs_hook=object_of)
    except RecursionError:
        raise MalformedError("The body is JSON nested too deeply.") from None
    except ValueError as error:  # JSONDecodeError, UnicodeDecodeError, or a number of thousands of digits
        raise MalformedError("The body is not valid JSON: {reason}.", reason=error) from None


def _refuse_repeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise InputError("{name} is given more than once; give it once.", name=name, field=name)
        values[name] = value
    return values


def decode_picture(name: str, value: Any) -> Any:
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
