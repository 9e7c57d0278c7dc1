"""Bounds every body of every route before anything parses it: bytes, marks and depth of JSON, parts of forms.

One ASGI layer in front of REST, Gradio's, Streamlit's and MCP's routes. What it looks for it finds in each piece as it
arrives, so the event loop is never held up by more than one piece, and nothing of a refused body reaches a door.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import BusyError, HubError, TooLargeError, UnsupportedMediaError
from hub.hub import Hub
from hub.people.limits import network
from hub.spec import FileInput
from hub.web.middleware import guard
from hub.web.middleware.arriving import ARRIVING, DRAIN_S, Arriving, Room, drop_the_rest
from hub.web.problems import MalformedError, no_memory, problem
from hub.web.routes import API

SLACK_BYTES = 2**20  # for what is no picture, and what frames those
PAGE_BYTES = 4 * 2**20  # of what a Gradio page sends: pictures come as uploads, but a camera's frame comes in base64
CALL_BYTES = 16 * 2**20
MARKS, DEPTH = 5_000, 64  # of JSON; a page with twenty inputs sends about 200 marks
PARTS, FIELDS = 64, 64
BATCH_HELD_BYTES, BATCH_WITHIN_S = 4 * 2**20, 7_200.0
COPIES = 2  # of JSON: what is read out of it stands beside it
AGAIN_BYTES = 256 * 1024  # of each piece in which a body that is here is handed on
Look = Callable[[bytes], object]  # gets each piece; raises HubError


@dataclass(frozen=True, slots=True)
class Kind:
    """What a route may be sent, and how long that may take.

    `streams`: its reader bounds forms by itself, and knows which pictures there may be.
    """

    most_bytes: int
    streams: bool = False
    held_bytes: int | None = None  # of a body that goes to the disk as it arrives; None: all of it
    within_s: float | None = None  # WITHIN_S


class Kinds:
    """Which kind a path is."""

    def __init__(self, hub: Hub):
        self.inputs, self.calls = Kind(inputs_in_json(hub), streams=True), Kind(call_bytes(hub))
        # Thousands of pictures over a slow line take their time.
        self.batch = Kind(hub.jobs.batch_bytes + SLACK_BYTES, True, BATCH_HELD_BYTES, BATCH_WITHIN_S)
        self.upload = Kind(2 * hub.limits.max_bytes + SLACK_BYTES)

    def of(self, path: str) -> Kind:
        if path.startswith(f"{API}/demos/") and path.endswith("/batch"):
            return self.batch
        if path.startswith(f"{API}/demos/"):
            return self.inputs
        if path.startswith("/mcp"):
            return self.calls
        if path.startswith("/gradio_api/upload") or "/_stcore/upload_file/" in path:
            return self.upload
        return PAGE if path.startswith("/gradio_api/") else SMALL


PAGE, SMALL = Kind(PAGE_BYTES), Kind(SLACK_BYTES)


def inputs_in_json(hub: Hub) -> int:
    """Bytes of one page's inputs in JSON: pictures in base64, and room for one that is somewhat too large.

    The door says so itself, in words of its own.
    """
    demos = [page.declared for page in hub.registry if page.declared]
    pictures = max((sum(isinstance(f, FileInput) for f in demo.inputs) for demo in demos), default=0)
    return pictures * hub.limits.max_bytes * 3 // 2 + 2 * SLACK_BYTES


def call_bytes(hub: Hub) -> int:
    """The same of a tool's call, which the SDK of MCP parses in the event loop: 16 MB hold that up for 0.1 s."""
    return min(inputs_in_json(hub), CALL_BYTES)


class Bounds:
    """The layer. A request without a body passes untouched."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.kinds = app, Kinds(hub)
        largest = max(kind.most_bytes for kind in (self.kinds.inputs, self.kinds.upload, PAGE))
        self.room = Room(int(hub.settings.bodies_mb * 2**20), COPIES * largest)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        path, root = str(scope["path"]), str(scope.get("root_path", ""))
        kind = self.kinds.of(path.removeprefix(root) if root and path.startswith(f"{root}/") else path)
        held = kind.most_bytes if kind.held_bytes is None else kind.held_bytes
        body = Arriving(receive, self.room, partial(_address, scope), held, kind.within_s)
        request = Request({**scope, ARRIVING: body}, body.receive)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if is_json := media_type == "application/json" or media_type.endswith("+json"):
            body.copies = COPIES
        answers = _Answers(send, body)
        bounded = self._bounded(request, kind, media_type, is_json, body, answers)
        try:
            refusal = await _refusal(bounded, body, answers)
            if refusal is not None and not answers.has_begun:
                await problem(refusal, request)(scope, receive, send)
        finally:
            body.give_back()

    async def _bounded(
        self, request: Request, kind: Kind, media_type: str, is_json: bool, body: Arriving, answers: _Answers
    ) -> None:
        scope, send = request.scope, answers.send
        if request.headers.get("content-encoding", "identity").lower() not in ("", "identity"):
            raise UnsupportedMediaError("Compressed bodies are not read; send it without Content-Encoding.")
        if kind.streams and not is_json:
            await self.app(scope, body.receive, send)
        elif media_type == "multipart/form-data":
            _, options = parse_options_header(request.headers["content-type"])
            look = Parts(options.get(b"boundary", b"")).look
            await self.app(scope, _Stream(request, kind.most_bytes, look, body).receive, send)
        else:
            look = _Fields().look if media_type == "application/x-www-form-urlencoded" else Marks().look
            whole = deque([bytearray()])
            async for piece in pieces(request, kind.most_bytes, look):
                if len(whole[-1]) >= AGAIN_BYTES:
                    whole.append(bytearray())
                whole[-1] += piece
            await self.app(scope, _replay(whole, body.receive), send)


class _Answers:
    """Passes a door's answer on, unless a refusal is to be sent in place of what a door makes of a body cut short."""

    def __init__(self, send: Send, body: Arriving):
        self._send, self._body = send, body
        self.has_begun = False

    async def send(self, message: Message) -> None:
        if self._body.refusal is None or self.has_begun:
            self.has_begun = True
            await self._send(message)


class _Stream:
    """A form on its way to a door, looked through piece by piece."""

    def __init__(self, request: Request, limit: int, look: Look, body: Arriving):
        self._pieces, self._body = pieces(request, limit, look), body
        self._over = False

    async def receive(self) -> Message:
        try:
            piece = await anext(self._pieces, None)
        except ClientDisconnect:
            return {"type": "http.disconnect"}
        except HubError as error:
            self._body.refusal = error
            raise MultiPartException(error.message) from None  # at which the doors' readers delete what they have
        if piece is not None:
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._over:
            return await self._body.receive()
        self._over = True
        return {"type": "http.request", "body": b"", "more_body": False}


async def _refusal(bounded: Awaitable[None], body: Arriving, answers: _Answers) -> HubError | None:
    """What to answer with in the door's place; None: the door answered."""
    try:
        await bounded
    except ClientDisconnect:
        return None  # nobody reads an answer
    except HubError as error:
        body.refusal = body.refusal or error
    except MemoryError:
        if answers.has_begun:
            raise
        return no_memory()
    except Exception:  # the door failed at a body that was cut short; the refusal says why
        if body.refusal is None:
            raise
    if isinstance(body.refusal, BusyError):
        body.refusal.with_traceback(None)  # whose frames would keep the body in memory
        await body.drain()
    return body.refusal


def _address(scope: Scope) -> str:
    return network(guard.caller(Request(scope)).address)


def has_body(scope: Scope) -> bool:
    """Whether a request says that it has one."""
    for name, value in scope["headers"]:
        if name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            return True
    return False


def _replay(whole: deque[bytearray], receive: Receive) -> Receive:
    """A body that is here, in pieces that are freed as they are handed on, then what comes."""

    async def again() -> Message:
        if not whole:
            return await receive()
        return {"type": "http.request", "body": bytes(whole.popleft()), "more_body": bool(whole)}

    return again


async def pieces(
    request: Request, limit: int, look: Look = len, too_large: TooLargeError | None = None
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives. Raises TooLargeError at once when Content-Length is too large, else when it is."""
    refusal: HubError | None = None
    too_large = too_large or TooLargeError(
        "The request has more than the {most:.0f} MB that are read. Send less at once.", most=limit / 2**20
    )
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
        refusal = too_large
        if request.headers.get("expect", "").lower() == "100-continue":
            raise refusal  # the client waits for leave to send
        drop_the_rest(request.scope)
    size, end = 0, time.monotonic() + DRAIN_S
    async for piece in request.stream():
        size += len(piece)
        if size > limit and refusal is None:
            refusal = too_large
            drop_the_rest(request.scope)
        if refusal is None:
            try:
                look(piece)
            except HubError as error:
                refusal = error
                drop_the_rest(request.scope)
        if refusal is None:
            yield piece
            end = time.monotonic() + DRAIN_S
        elif time.monotonic() > end:
            break
    if refusal is not None:
        raise refusal


# --- what a body is looked through for -------------------------------------------------------------


class Marks:
    """Counts what JSON is made of, `{ [ ] } , :` outside of texts, and how deep it goes; in time linear in its bytes.

    Parsers make an object for each, and Gradio walks them all in the event loop. Nothing is decoded: only whether a
    place is within a text is followed, and a backslash at the end of a piece waits for the next.
    """

    def __init__(self) -> None:
        self._in_text, self._rest = False, b""
        self._marks = self._depth = 0

    def look(self, piece: bytes) -> None:
        """Raises TooLargeError, and MalformedError for an encoding in which marks could hide."""
        if b"\0" in piece:  # UTF-16 and UTF-32 have one in each mark; UTF-8 has none anywhere
            raise MalformedError("The body is not valid JSON: it must be UTF-8.")
        data = self._rest + piece
        cut = len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2
        data, self._rest = data[:cut], data[cut:]
        if b"\\" in data:
            data = data.replace(b"\\\\", b"").replace(b'\\"', b"")
        parts = data.split(b'"', 4 * MARKS)  # a text has two of these, and a mark beside it
        if len(parts) > 4 * MARKS:
            raise self._refusal()
        outside = b"".join(parts[self._in_text :: 2])
        self._in_text ^= len(parts) % 2 == 0
        self._marks += sum(map(outside.count, (b"[", b"]", b"{", b"}", b",", b":")))
        if self._marks > MARKS:
            raise self._refusal()
        for mark in outside.translate(None, NO_BRACKETS):
            self._depth += 1 if mark in b"[{" else -1
            if self._depth > DEPTH:
                raise TooLargeError("The body is JSON nested too deeply: {most} levels are read.", most=DEPTH)

    def _refusal(self) -> HubError:
        return TooLargeError(
            "The body is JSON of more values than the {most} that are read. Send pictures as files, and less at once.",
            most=MARKS,
        )


NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


class _Fields:
    """Counts the fields of an urlencoded form."""

    def __init__(self) -> None:
        self._count = 1

    def look(self, piece: bytes) -> None:
        """Raises MalformedError."""
        self._count += piece.count(b"&")
        if self._count > FIELDS:
            raise MalformedError("The form has more than {most} fields.", most=FIELDS)


class Parts:
    """Counts the parts of a form of several, and bounds their headers."""

    def __init__(self, boundary: bytes) -> None:
        """Raises MalformedError."""
        if not boundary:
            raise MalformedError("Content-Type is multipart/form-data without a boundary; let your client set it.")
        self._count, self.complete = 0, False
        try:
            self._parser = MultipartParser(boundary, {"on_part_begin": self._begin, "on_end": self._end})
        except FormParserError as error:
            raise _form_error(error) from None

    def look(self, piece: bytes) -> None:
        """Raises MalformedError."""
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise _form_error(error) from None

    def _begin(self) -> None:
        self._count += 1
        if self._count > PARTS:
            raise MalformedError("The form has more than {max_parts} parts.", max_parts=PARTS)

    def _end(self) -> None:
        self.complete = True


def _form_error(error: FormParserError) -> MalformedError:
    return MalformedError("The body is not valid multipart/form-data: {reason}.", reason=str(error)[:200])
