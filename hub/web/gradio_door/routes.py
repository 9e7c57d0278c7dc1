"""What of Gradio visitors may reach: a table of its routes, and the hub's own answers to those that move files.

Gradio mounts over eighty routes, some of which fetch addresses, read files, edit programs or draw icons of any size.
What is not in the table is 404, also what a later Gradio adds.
"""

from __future__ import annotations

import json
import mimetypes
from collections.abc import AsyncGenerator, Collection
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from gradio.routes import App
from starlette._utils import get_route_path
from starlette.datastructures import MutableHeaders
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub.errors import BusyError, HubError, InputError, NotFoundError, TooLargeError, UnavailableError
from hub.people import asking
from hub.people.users import Caller
from hub.texts import say
from hub.web.gradio_door import refusals
from hub.web.gradio_door.page_files import FILES, OF_CALLER, PageFiles
from hub.web.gradio_door.parts import HOME, Parts, asked_for
from hub.web.middleware import guard
from hub.web.problems import problem

API = "gradio_api"
GET, POST = ("GET", "HEAD"), ("POST",)
FILE = f"/{API}/file="
# Methods, and a path by its parts: * is any one part, ** all that follow. Below these, `{page}` is each page's name.
ROUTES: tuple[tuple[Collection[str], str], ...] = (
    (GET, ""),
    (GET, "{page}"),
    (GET, "config"),  # gradio_client begins here
    (GET, "theme.css"),
    (GET, "assets/**"),  # the front end
    (GET, "static/**"),
    (GET, "favicon.ico"),
    (GET, "robots.txt"),
    (GET, f"{API}/theme.css"),
    (GET, f"{API}/info"),  # what endpoints there are
    (GET, f"{API}/app_id"),  # by which an open page knows that the hub was started anew
    (GET, f"{API}/startup-events"),
    (POST, f"{API}/run/*"),  # events that wait for nobody
    (POST, f"{API}/queue/join"),  # all others, and their answers
    (GET, f"{API}/queue/data"),
    (POST, f"{API}/call/*"),  # the same for curl
    (GET, f"{API}/call/*/*"),
    (POST, f"{API}/cancel"),
    (POST, f"{API}/reset"),
    (POST, f"{API}/stream/*"),  # frames of a live camera
    (POST, f"{API}/stream/*/close"),
)
# Gradio's theme loads these two; ours hold a quarter of the bytes, and other letters are the visitor's own fonts'.
FONTS = {
    f"/static/fonts/IBMPlexSans/IBMPlexSans-{weight}.woff2": Path(__file__).parents[1] / "fonts" / file
    for weight, file in (("Regular", "hub-sans-regular.woff2"), ("Bold", "hub-sans-bold.woff2"))
}
PICTURES = {"image/jpeg", "image/png", "image/webp", "image/gif", "image/avif"}
PLAYED = {"video/mp4", "video/webm", "video/quicktime", "video/x-matroska", "audio/wav", "audio/x-wav", "audio/mpeg",
          "audio/ogg", "audio/flac", "audio/x-flac", "audio/mp4"}  # fmt: skip
OPENED = PICTURES | PLAYED  # which a browser may open by itself
UPLOAD_DONE = b'data: {"msg":"done"}\n\n'  # to a page that asks how far its upload is
NAME_BYTES = 255  # the longest that a file's name may be
FIELDS = 4  # of an upload's form that are no files


def _has_long_name(path: str) -> bool:
    """Whether no file can be called so; Gradio would ask for it, and fail."""
    return any(len(part.encode(errors="replace")) > NAME_BYTES for part in path.split("/"))


class GradioDoor:
    """ASGI layer between the hub and the mounted Gradio app."""

    def __init__(self, app: ASGIApp, files: PageFiles, parts: Parts):
        self.app, self.files, self._parts = app, files, parts
        self.routes = getattr(app, "routes", [])  # all that Gradio mounts, for what lists the app's routes
        if isinstance(app, FastAPI):
            app.add_exception_handler(RequestValidationError, _explain_refusal)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":  # Gradio has none
                await send({"type": "websocket.close", "code": 1008})
            return
        method, path = scope["method"], get_route_path(scope)
        page: str | None = None
        try:
            answer = await self._own(method, path, Request(scope, receive))
            if answer is None and (not self.has(method, path) or _has_long_name(path)):
                raise NotFoundError("There is nothing at this address.")
            if answer is None and method in GET and not self._is_awaited(path, scope):
                raise NotFoundError("No answer is on its way here: it came already, or nothing was asked.")
            if answer is None:
                page, scope = self._page(scope, path)
                if page is not None and not self._parts.is_made(page):
                    await to_thread.run_sync(self._parts.make, page)
        except HubError as error:
            answer = problem(error, Request(scope))
        if answer is not None:
            await answer(scope, receive, send)
            return
        scope = {**scope, refusals.REFUSED: []}
        if path == f"/{API}/info" and self._parts.is_short:
            plain = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
            scope, send = {**scope, "headers": plain}, self._without_others(send)

        async def with_status(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["status"] = refusals.status_of(scope, message["status"])
            await send(message)

        with asked_for(page) if page is not None and method in GET else nullcontext():
            await self.app(scope, receive, with_status)

    def _without_others(self, send: Send) -> Send:
        """What Gradio says of endpoints, without those of pages that are kept from who asks. It comes in one piece."""
        start: Message | None = None

        async def send_rest(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                begun, start, sees = start, None, self._parts.sees_endpoint
                if begun["status"] == 200:
                    told = json.loads(message.get("body", b"") or b"{}")
                    named = told.get("named_endpoints", {})
                    told["named_endpoints"] = {n: one for n, one in named.items() if sees(n.removeprefix("/"))}
                    told["unnamed_endpoints"] = {}
                    message = {**message, "body": json.dumps(told).encode()}
                    MutableHeaders(scope=begun)["content-length"] = str(len(message["body"]))
                await send(begun)
            await send(message)

        return send_rest

    def _page(self, scope: Scope, path: str) -> tuple[str | None, Scope]:
        """The page that a request is about, None: no one page; and the request as Gradio is asked, which has `/`."""
        name, *rest = path.removeprefix("/").split("/")
        asked: str | None = None
        if not rest and name != HOME and name in self._parts.names:
            asked, query = name, b"&".join(filter(None, (scope["query_string"], b"page=" + name.encode())))
            root = scope.get("root_path", "") + "/"
            scope = {**scope, "path": root, "raw_path": root.encode(), "query_string": query}
        elif path in ("/", "/config", f"/{API}/info"):
            asked = Request(scope).query_params.get("page", HOME if path == "/" else None)
        elif name == API and len(rest) > 1 and rest[0] in ("call", "run"):  # by the name of an endpoint
            asked = rest[1] if rest[1] in self._parts.names else rest[1].removesuffix("_compare")
            self._parts.check(asked, asking.current())
        return (asked if asked in self._parts.names else None), scope

    def _is_awaited(self, path: str, scope: Scope) -> bool:
        """Whether there is something to stream. Gradio notices once its answer has begun, and fails then."""
        parts = path.removeprefix(f"/{API}/").split("/")
        if parts[0] == "call":
            event = parts[-1]
        elif parts == ["queue", "data"]:
            event = Request(scope).query_params.get("session_hash", "")
        else:
            return True
        if not isinstance(self.app, App):
            return True
        queue = self.app.get_blocks()._queue  # a call that named a session is known by its event
        is_pending = event in queue.pending_messages_per_session or event in queue.event_ids_to_events
        return is_pending or any(event in events for events in queue.pending_event_ids_session.values())

    def has(self, method: str, path: str) -> bool:
        """Whether the table has a route."""
        parts = path.removeprefix("/").split("/")
        return any(method in methods and self._fits(route.split("/"), parts) for methods, route in ROUTES)

    def _fits(self, route: list[str], parts: list[str]) -> bool:
        if route[-1] == "**":
            return parts[: len(route) - 1] == route[:-1] and len(parts) >= len(route)
        return len(route) == len(parts) and all(
            one == part or (one == "*" and part != "") or (one == "{page}" and part and part in self._parts.names)
            for one, part in zip(route, parts, strict=True)
        )

    async def _own(self, method: str, path: str, request: Request) -> Response | None:
        """The answer to a route that the hub has in Gradio's place; None: it has none."""
        who = guard.caller(request)
        if method in GET and path in FONTS:
            return FileResponse(
                FONTS[path], media_type="font/woff2", headers={"Cache-Control": "public, max-age=86400"}
            )
        if method in GET and path.startswith(FILE):
            return await to_thread.run_sync(self._file, who, path.removeprefix(FILE))
        if method in GET and path == f"/{API}/upload_progress":
            return Response(UPLOAD_DONE, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        if method in POST and path == f"/{API}/upload":
            try:
                return JSONResponse(await self._upload(request, who))
            except HubError as error:  # Gradio's page shows the body as it is
                answer = PlainTextResponse(say(error.message), error.status, {"Cache-Control": "no-store"})
                if isinstance(error, BusyError):
                    answer.headers["Retry-After"] = str(error.retry_after_s)
                return answer
        return None

    def _file(self, who: Caller, text: str) -> Response:
        try:
            path = self.files.find(who, text)
        except InputError:
            raise NotFoundError("There is no such file, or it is another visitor's.") from None
        kind = mimetypes.guess_type(path.name)[0] or ""
        headers = {
            "Cache-Control": "private, no-cache",  # so that what was deleted is gone
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "sandbox; default-src 'none'",
        }
        opens_inline = kind in OPENED
        return FileResponse(
            path, headers=headers, media_type=kind if opens_inline else "application/octet-stream", filename=path.name,
            content_disposition_type="inline" if opens_inline else "attachment",
        )  # fmt: skip

    # --- uploads ----------------------------------------------------------------------------------

    async def _upload(self, request: Request, who: Caller) -> list[str]:
        """Takes the files of a form; returns the paths that their sender may name. Raises a HubError."""
        most = OF_CALLER * self.files.largest
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > most:
            allowed = f"{most / 2**20:g}"
            raise TooLargeError("One upload may have {most} MB; send one picture at a time.", most=allowed)
        if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
            raise InputError("Send the picture as a form (multipart/form-data) with a file named files.")
        key = self.files.begin(who)
        try:
            stream = self._count_stream(request, key)
            parser = MultiPartParser(request.headers, stream, max_files=FILES, max_fields=FIELDS)
            form = await parser.parse()
        except MultiPartException as error:
            if "Too many files" in error.message:
                text = "One upload may have {most} files; send one picture at a time."
                raise TooLargeError(text, most=FILES) from None
            raise InputError("The form with the upload cannot be read. Send it anew.") from None
        except OSError as error:  # larger parts wait on the disk
            reason = error.strerror or type(error).__name__
            raise UnavailableError("The upload cannot be kept: {reason}.", reason=reason) from None
        finally:
            self.files.drop(key)
        try:
            files = [one for one in form.getlist("files") if not isinstance(one, str)]
            return [await to_thread.run_sync(self._keep, who, one) for one in files]
        finally:
            await form.close()

    async def _count_stream(self, request: Request, key: str) -> AsyncGenerator[bytes, None]:
        async for chunk in request.stream():
            self.files.count(key, len(chunk))
            yield chunk

    def _keep(self, who: Caller, upload: Any) -> str:
        data = upload.file.read(self.files.largest + 1)
        key = self.files.begin(who)
        try:
            self.files.count(key, len(data))
            return self.files.keep(key, upload.filename or "", data)
        except BaseException:
            self.files.drop(key)
            raise


async def _explain_refusal(request: Request, error: Exception) -> Response:
    """In words, and without the body that was sent: FastAPI repeats it, and fails where it is no text."""
    assert isinstance(error, RequestValidationError)
    fault = error.errors()[0]
    where = ".".join(str(part)[:40] for part in fault["loc"][:4])
    text = "This address does not take what was sent ({where}): {why}."
    return problem(InputError(text, where=where, why=str(fault["msg"])[:200].rstrip(".")), request)
