"""The ways in which a tool's caller gives a picture: base64, image content, an address of this hub, a path over stdio.

A path is opened for a client on this machine alone, and only where it leads to a regular file within the limit.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from hub.errors import InputError, TooLargeError
from hub.hub import Hub
from hub.texts import Sentence, sentence
from hub.web.api import answers, bodies
from hub.web.routes import API

PATH_CHARS = 4096  # longer is no path
ADDRESS_CHARS = 2000
QUOTED_CHARS = 80
NAMED_CHARS = 300  # of a path, which is of use whole
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,19}://")
DRIVE = re.compile(r"[A-Za-z]:[\\/]")
JPEG = ("/9j/", "/wo")  # how JPEG and JPEG XL begin in base64: the only formats with a slash


def read_argument(hub: Hub, name: str, value: Any, files: bool) -> Any:
    """A picture as the engine takes it. Raises InputError; what is no picture in any way is the engine's to refuse."""
    if isinstance(value, Mapping):
        data = value.get("data")
        if not isinstance(data, str) or not data:
            form = '{"type": "image", "data": "<base64>", "mimeType": "image/png"}'
            raise InputError("{name} is an object without data; give {wanted}.", name=name, wanted=form, field=name)
        return bodies.decode_picture(name, data)
    if not isinstance(value, str):
        return value
    address_parts = _address_parts(value)
    if address_parts is not None:
        return _own_picture(hub, name, value, *address_parts)
    scheme = SCHEME.match(value)
    if scheme and scheme[0].lower() != "file://":
        raise InputError(
            "{name} is an address of another place, {given}, and this hub fetches nothing; {ways}.",
            name=name, given=_quote(value), ways=_ways(files), field=name,
        )  # fmt: skip
    if not scheme and not _is_path(value) and not (files and os.path.isfile(value)):  # noqa: PTH113  # never raises
        return bodies.decode_picture(name, value)
    if not files:
        raise InputError(
            "{name} is a path, {given}, and this hub opens no files for callers from elsewhere; {ways}.",
            name=name, given=_quote(value), ways=_ways(files), field=name,
        )  # fmt: skip
    return _read_file(name, value, hub.limits.max_bytes)


def _ways(files: bool) -> Sentence:
    if files:
        return sentence("give the picture itself in base64, or the path of a picture file on this machine")
    return sentence("give the picture itself, in base64")


def _quote(text: str) -> str:
    return repr(text if len(text) <= QUOTED_CHARS else f"{text[: QUOTED_CHARS - 1]}…")


# --- pictures that this hub has -------------------------------------------------------------------


def _address_parts(text: str) -> tuple[str, str, str] | None:
    """Kind, key and the rest of an address of the API; None for anything else."""
    if len(text) > ADDRESS_CHARS or not text.startswith(("http://", "https://", f"{API}/")):
        return None
    try:
        path = urlsplit(text).path
    except ValueError:  # brackets that are no address
        return None
    _, is_of_api, rest = path.partition(f"{API}/")
    kind, _, rest = rest.partition("/")
    key, _, rest = rest.partition("/")
    if not is_of_api or kind not in ("demos", "results") or not key or not rest:
        return None
    return kind, unquote(key), unquote(rest)


def _own_picture(hub: Hub, name: str, address: str, kind: str, key: str, rest: str) -> Any:
    """A picture this hub has: an example's file, or an output of a result. Nothing is fetched."""
    if kind == "demos":
        page = hub.visible.pages.get(key)
        file = rest.removeprefix("assets/")
        if page and page.declared and rest != file and file in answers.pictures(page):
            return page.assets / file
    elif result := hub.results.get(key):
        output, _, number = rest.partition("/")
        pictures = result.pictures.get(output, ())
        at = int(number or "0") if len(number) < 9 and (number or "0").isdecimal() else len(pictures)
        if at < len(pictures):
            return pictures[at].data
    raise InputError("{name}: this hub has no picture at {given}.", name=name, given=_quote(address), field=name)


# --- files of this machine ------------------------------------------------------------------------


def _is_path(text: str) -> bool:
    """A path rather than base64: base64 of a picture is long and has no such beginning or end."""
    if len(text) > PATH_CHARS or text.startswith("data:"):
        return False
    if text.startswith(("./", "../", "~", "\\")) or DRIVE.match(text) or "." in text or "\0" in text:
        return True
    return text.startswith("/") and not text.startswith(JPEG)


def _read_file(name: str, text: str, most: int) -> bytes:
    """The bytes of a regular file. Raises InputError."""
    try:
        path = _to_path(text)
        # Without O_NONBLOCK the call would wait for ever at a pipe that nobody writes to. The open file is checked and
        # not the path, which may lead elsewhere by then.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(handle, "rb") as stream:  # noqa: PTH123  # it is open already
            mode = os.fstat(handle).st_mode
            if not stat.S_ISREG(mode):
                _refuse(name, text, sentence("it is a folder" if stat.S_ISDIR(mode) else "it is no regular file"))
            data = stream.read(most + 1)
    except IsADirectoryError:
        _refuse(name, text, sentence("it is a folder"))
    except OSError as error:
        _refuse(name, text, error.strerror or type(error).__name__)
    except (ValueError, RuntimeError) as error:
        _refuse(name, text, str(error))
    if len(data) > most:
        text = "{name}: the file {given} has more than the {most:g} MB that are read. Make it smaller and try again."
        raise TooLargeError(text, name=name, given=_quote(text), most=most / 2**20, field=name)
    return data


def _to_path(text: str) -> Path:
    """Raises ValueError or RuntimeError for what no path can be."""
    if "\0" in text:
        raise ValueError("no path has a NUL character")
    if not text.lower().startswith("file:"):
        return Path(text).expanduser()
    address = urlsplit(text)
    if address.netloc.lower() not in ("", "localhost"):
        raise ValueError("a file:// address of another machine is not read")
    path = url2pathname(address.path)
    if "\0" in path:
        raise ValueError("no path has a NUL character")
    return Path(path)


def _refuse(name: str, text: str, why: str) -> NoReturn:
    raise InputError(
        "{name}: cannot read {given}: {why}; {ways}.",
        name=name, given=text if text.isprintable() and len(text) <= NAMED_CHARS else _quote(text), why=why,
        ways=_ways(True), field=name,
    ) from None  # fmt: skip
