"""Forms of thousands of files, written to the disk as they arrive: neither in memory nor one descriptor a file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from hub.errors import TooLargeError, UnsupportedMediaError
from hub.jobs.folders import NewFolder
from hub.web.middleware.bounds import pieces
from hub.web.problems import MalformedError

AT_ONCE_BYTES = 2**20  # are gathered before a thread writes them
FIELD_BYTES, FIELDS_MOST = 64 * 1024, 64
HEADER_BYTES, HEADERS_MOST = 4_096, 8  # of one part
MAGIC_BYTES = 8


@dataclass(slots=True)
class Upload:
    """One file of the form."""

    part: str  # the name in the form
    name: str  # as the client called it
    file: str  # in the folder
    size: int = 0
    head: bytes = b""
    sha: Any = field(default_factory=hashlib.sha256)


class Form:
    """What came so far: `fields` by name, each a text or several, and `files`."""

    def __init__(self, folder: NewFolder, boundary: bytes, most_files: int):
        """Raises MalformedError."""
        self._folder, self._most_files = folder, most_files
        self.fields: dict[str, list[str]] = {}
        self.files: list[Upload] = []
        self.complete = False
        self._headers: list[tuple[bytes, bytes]] = []
        self._name, self._value = bytearray(), bytearray()
        self._field: tuple[str, bytearray] | None = None
        try:
            self._parser = MultipartParser(boundary, {
                "on_part_begin": self._begin_part, "on_header_field": self._add_name,
                "on_header_value": self._add_value, "on_header_end": self._end_header,
                "on_headers_finished": self._end_headers,
                "on_part_data": self._add_data, "on_part_end": self._end_part, "on_end": self._end,
            })  # fmt: skip
        except FormParserError as error:
            raise MalformedError("The body is not valid multipart/form-data: {reason}.", reason=str(error)) from None

    def take(self, data: bytes) -> None:
        """Writes what is in these bytes. Raises HubError."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            text = str(error)[:200]
            raise MalformedError("The body is not valid multipart/form-data: {reason}.", reason=text) from None

    def _begin_part(self) -> None:
        self._headers.clear()

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]
        self._check_header()

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]
        self._check_header()

    def _check_header(self) -> None:
        if len(self._name) + len(self._value) > HEADER_BYTES or len(self._headers) > HEADERS_MOST:
            raise MalformedError("A part of the form has longer headers than are read.")

    def _end_header(self) -> None:
        self._headers.append((bytes(self._name).lower(), bytes(self._value)))
        self._name.clear()
        self._value.clear()

    def _end_headers(self) -> None:
        disposition = next((value for name, value in self._headers if name == b"content-disposition"), b"")
        _, options = parse_options_header(disposition)
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if not name:
            raise MalformedError("A part of the form has no name; each needs one, which is the input's.")
        if b"filename" not in options:
            self._field = name, bytearray()
            if sum(map(len, self.fields.values())) >= FIELDS_MOST:
                raise MalformedError("The form has more than {most} fields.", most=FIELDS_MOST)
            return
        self._field = None
        if len(self.files) >= self._most_files:
            raise TooLargeError("At most {most:,} files are read at once.", most=self._most_files, field="files")
        filename = options[b"filename"].decode("utf-8", "replace")
        self.files.append(Upload(name, filename, f"file-{len(self.files)}"))
        self._folder.write(self.files[-1].file, b"")

    def _add_data(self, data: bytes, start: int, end: int) -> None:
        if self._field is not None:
            self._field[1].extend(data[start:end])
            if len(self._field[1]) > FIELD_BYTES:
                raise TooLargeError("{name} is longer than is read.", name=self._field[0][:80], field=self._field[0])
            return
        upload, piece = self.files[-1], data[start:end]
        upload.size += len(piece)
        upload.head = (upload.head + piece[:MAGIC_BYTES])[:MAGIC_BYTES]
        upload.sha.update(piece)
        self._folder.write(upload.file, piece, append=True)

    def _end_part(self) -> None:
        if self._field is not None:
            name, value = self._field
            self.fields.setdefault(name, []).append(value.decode("utf-8", "replace"))

    def _end(self) -> None:
        self.complete = True


async def read_form(request: Request, folder: NewFolder, most_files: int, most_bytes: int) -> Form:
    """Reads the body into the folder. Raises HubError."""
    media_type, options = parse_options_header(request.headers.get("content-type", ""))
    if media_type != b"multipart/form-data" or not options.get(b"boundary"):
        raise UnsupportedMediaError("Send multipart/form-data: files, and the page's other inputs as fields.")
    form, waiting = Form(folder, options[b"boundary"], most_files), bytearray()
    write: Callable[[bytes], None] = form.take
    async for piece in pieces(request, most_bytes):
        waiting += piece
        if len(waiting) >= AT_ONCE_BYTES:
            await to_thread.run_sync(write, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(write, bytes(waiting))
    if not form.complete:
        raise MalformedError("The form ends before its closing boundary; was the upload cut off?")
    return form
