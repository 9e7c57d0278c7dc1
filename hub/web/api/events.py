"""A run as server-sent events: stages and steps as they happen, then the result or the problem.

Asked for by `Accept: text/event-stream` on the same address as a plain run. Who closes the connection cancels the run.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from anyio import to_thread
from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hub.engine.jobs import Cancel, text_so_far
from hub.errors import HubError
from hub.execution.executor import Waiting
from hub.images import thumbnail
from hub.spec import Progress
from hub.web.api.schemas.shapes import Steps
from hub.web.problems import EVENTS, problem, unexpected

PREVIEW_PX = 256
LOOK_S = 1.0  # between two looks at the queue
BEAT_S = 10.0  # a comment as often as this keeps proxies from closing a quiet connection
Work = Callable[[Callable[..., None], Cancel], Awaitable[bytes]]  # gets who listens, and the flag that ends it
EventMaker = Callable[..., bytes]  # makes an event of what the work announces


def wants_events(request: Request) -> bool:
    """Whether the client asks for events rather than for one answer."""
    return EVENTS in request.headers.get("accept", "").lower()


def stream(
    request: Request,
    work: Work,
    to_event: EventMaker | None = None,
    waiting: Callable[[], Waiting | None] | None = None,
) -> StreamingResponse:
    """Events `stage` and `progress` (or what `to_event` makes of a message), and at the end `result` or `error`.

    `waiting` tells where a run stands in the queue: while it does, that is said again whenever it has changed.
    """
    # Buffering proxies would hold the steps back until the end.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, work, to_event or _Steps(), waiting), media_type=EVENTS, headers=headers)


async def answer_once(request: Request, work: Work) -> bytes:
    """The same work for one answer: cancelled when the client goes away. Raises what the work raises."""
    cancel = Cancel()
    watch = asyncio.create_task(_watch(request, cancel))
    try:
        return await work(lambda *what: None, cancel)
    finally:
        cancel.set()
        watch.cancel()


async def _watch(request: Request, cancel: Cancel) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    cancel.set()


async def _events(
    request: Request, work: Work, to_event: EventMaker, waiting: Callable[[], Waiting | None] | None
) -> AsyncIterator[bytes]:
    loop, queue, cancel = asyncio.get_running_loop(), asyncio.Queue[tuple[Any, ...]](), Cancel()

    def hear(*what: Any) -> None:
        loop.call_soon_threadsafe(queue.put_nowait, what)

    task, next_message = asyncio.ensure_future(work(hear, cancel)), asyncio.ensure_future(queue.get())
    place: int | None = None  # in the queue, as it was told; None: it does not wait there
    try:
        while not (task.done() and queue.empty() and not next_message.done()):
            either: set[asyncio.Future[Any]] = {next_message} if task.done() else {task, next_message}
            beat_s = BEAT_S if place is None else LOOK_S
            await asyncio.wait(either, timeout=beat_s, return_when=asyncio.FIRST_COMPLETED)
            if next_message.done():
                what = next_message.result()
                next_message = asyncio.ensure_future(queue.get())
                yield to_event(*what)
                place = 0 if waiting is not None and what[0] == "queued" else None
            elif place is not None and waiting is not None:
                now = await to_thread.run_sync(waiting)
                changed, place = now is not None and now.place != place, now.place if now else None
                if now is not None and changed:
                    yield format_event("stage", {"stage": "queued", "place": place, "left_s": now.left_s})
            elif not task.done():
                yield b": still at it\n\n"
        yield _outcome(task, request)
    finally:
        cancel.set()
        task.cancel()
        next_message.cancel()


class _Steps:
    """The events of one run: a stage, or a step with the preview and the text so far where they are new."""

    def __init__(self) -> None:
        self._last_preview: Image.Image | None = None
        self._last_text = ""

    def __call__(self, stage: str, progress: Progress | None) -> bytes:
        if progress is None:
            return format_event("stage", {"stage": stage})
        event: dict[str, Any] = {**steps_to_json(progress)}
        if (picture := preview(progress)) is not None and picture is not self._last_preview:
            event["preview"] = data_url(picture)
        if (text := text_so_far(progress)) != self._last_text:
            event["text"] = text
        self._last_preview, self._last_text = picture, text
        return format_event("progress", event)


def _outcome(task: asyncio.Future[bytes], request: Request) -> bytes:
    error = task.exception()
    if error is None:
        return b"event: result\ndata: " + task.result() + b"\n\n"
    if isinstance(error, HubError):
        answer: Response = problem(error, request)
    else:
        answer = unexpected(error if isinstance(error, Exception) else RuntimeError(str(error)), request)
    return b"event: error\ndata: " + bytes(answer.body) + b"\n\n"


def format_event(name: str, data: Mapping[str, Any]) -> bytes:
    """One event as it is sent."""
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def steps_to_json(progress: Progress) -> Steps:
    """Where a run is, as JSON; `left_s` only where it is known."""
    far: Steps = {"step": progress.step, "total": progress.total}
    if progress.left_s is not None:
        far["left_s"] = round(progress.left_s, 2)
    return far


def preview(progress: Progress | None) -> Image.Image | None:
    """The picture so far, of the one request that a progress is for."""
    own = progress.preview[0] if progress and progress.preview else None
    return own if isinstance(own, Image.Image) else None


def data_url(picture: Image.Image | None) -> str:
    """A small JPEG in a data: URL; empty for no picture."""
    if picture is None:
        return ""
    return f"data:image/jpeg;base64,{base64.b64encode(thumbnail(picture, PREVIEW_PX, 'step')).decode()}"
