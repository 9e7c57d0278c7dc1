"""What a request to a Gradio page may bring as a file: the one place that all of its values pass before any component.

A value of any form (with and without `meta`, in lists, as a gallery) that names a file comes out as one that names a
file which this visitor may have, with nothing else of what was sent: no address, no name. Nothing is fetched.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hub.errors import InputError, TooLargeError
from hub.texts import sentence
from hub.web.gradio_door import stills
from hub.web.gradio_door.page_files import NOT_FETCHED

META = {"_type": "gradio.FileData"}  # by which Gradio knows a file
NAMES = ("path", "url")  # of what may name one
DEEPEST = 8  # lists in lists; a gallery has three
DATA_URL, HEAD = "data:", 100  # and the characters before the picture

Find = Callable[[str], Path]  # a path from outside -> the file; raises a HubError


def admit_value(value: Any, find: Find, most: int, depth: int = 0) -> Any:
    """The value with nothing in it that names a file, but what `find` found. Raises a HubError.

    `most`: bytes of a picture that comes in the value itself.
    """
    if depth > DEEPEST and isinstance(value, list | dict):
        raise InputError("The values are nested more than {most} deep.", most=DEEPEST)
    if isinstance(value, list):
        return [admit_value(one, find, most, depth + 1) for one in value]
    if not isinstance(value, Mapping):
        return value
    if not any(name in value for name in NAMES):
        return {name: admit_value(one, find, most, depth + 1) for name, one in value.items()}
    return _admit_file(value, find, most)


def _admit_file(value: Mapping[str, Any], find: Find, most: int) -> dict[str, Any] | None:
    path, url = value.get("path"), value.get("url")
    if isinstance(url, str) and url.startswith(DATA_URL):  # a frame of a camera; it brings its picture along
        if len(url) * 3 // 4 > most + HEAD:
            allowed = f"{most / 2**20:g}"
            raise TooLargeError("The picture is larger than the {most} MB that are read.", most=allowed)
        return {"url": url}
    if path is None and url is None:
        return None
    if not isinstance(path, str) or not path:
        raise InputError(NOT_FETCHED if isinstance(url, str) and url else "A picture's path must be text.")
    if "://" in path or path.startswith(DATA_URL):
        raise InputError(NOT_FETCHED)
    file = find(path)
    original = stills.picture_of(file)
    return {"path": str(file), "orig_name": None if original == file else str(original), "meta": META}


def check(components: Sequence[Any], values: Sequence[Any]) -> None:
    """That there is a value for each component, and a file for each that takes one. Raises InputError."""
    if len(values) < len(components):
        text = "This takes {count} values, got {given}."
        raise InputError(text, count=len(components), given=len(values))
    for component, value in zip(components, values, strict=False):
        model = getattr(component, "data_model", None)
        if model is None or value is None:
            continue
        try:
            model.model_validate(value, context={"validate_meta": True})
        except ValidationError:
            kind = sentence("a list") if isinstance(value, list) else sentence("something else")
            what = sentence("a picture file")
            name = str(component.label or "")
            raise InputError("{name} must be {what}, got {given}.", name=name, what=what, given=kind) from None


def from_data_url(url: str) -> bytes:
    """The bytes of a `data:` address in base64. Raises InputError."""
    head, comma, body = url.partition(",")
    try:
        if comma and head.endswith(";base64"):
            return base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise InputError("A picture in a data: address must be in base64.")
