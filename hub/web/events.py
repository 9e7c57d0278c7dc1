"""A run as server-sent events: stages and steps as they happen, then the result or the problem.

Asked for by `Accept: text/event-stream` on the same address as a plain run. Who closes the connection cancels the run.
"""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from PIL import Image
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hub.errors import HubError
from hub.jobs import Cancel, OnEvent
from hub.spec import Progress
from hub.web.problems import problem, unexpected

MEDIA_TYPE = "text/event-stream"
PREVIEW_PX = 256
BEAT_S = 10.0  # a comment as often as this keeps proxies from closing a quiet connection
Work = Callable[[OnEvent, Cancel], Awaitable[bytes]]  # gets who listens, and the flag that ends it; the result as JSON


def wanted(request: Request) -> bool:
    """Whether the client asks for events rather than for one answer."""
    return MEDIA_TYPE in request.headers.get("accept", "").lower()


def stream(request: Request, work: Work) -> StreamingResponse:
    """The events `stage`, `progress`, and at the end `result` or `error`, each with JSON."""
    # Buffering proxies would hold the steps back until the end.
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, work), media_type=MEDIA_TYPE, headers=headers)


async def _events(request: Request, work: Work) -> AsyncIterator[bytes]:
    loop, told, cancel = asyncio.get_running_loop(), asyncio.Queue[tuple[str, Progress | None]](), Cancel()
    seen: Any = None

    def hear(stage: str, progress: Progress | None) -> None:
        loop.call_soon_threadsafe(told.put_nowait, (stage, progress))

    task, heard = asyncio.ensure_future(work(hear, cancel)), asyncio.ensure_future(told.get())
    try:
        while not (task.done() and told.empty() and not heard.done()):
            either: set[asyncio.Future[Any]] = {heard} if task.done() else {task, heard}
            await asyncio.wait(either, timeout=BEAT_S, return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                stage, progress = heard.result()
                heard = asyncio.ensure_future(told.get())
                picture = preview(progress)
                new = picture is not None and picture is not seen
                seen = picture
                yield (
                    _event("stage", {"stage": stage})
                    if progress is None
                    else _event("progress", steps(progress) | ({"preview": data_url(picture)} if new else {}))
                )
            elif not task.done():
                yield b": still at it\n\n"
        yield _outcome(task, request)
    finally:
        cancel.set()
        task.cancel()
        heard.cancel()


def _outcome(task: asyncio.Future[bytes], request: Request) -> bytes:
    error = task.exception()
    if error is None:
        return b"event: result\ndata: " + task.result() + b"\n\n"
    answer: Response = problem(error, request) if isinstance(error, HubError) else unexpected(_plain(error), request)
    return b"event: error\ndata: " + bytes(answer.body) + b"\n\n"


def _plain(error: BaseException) -> Exception:
    return error if isinstance(error, Exception) else RuntimeError(str(error))


def _event(name: str, data: dict[str, Any]) -> bytes:
    return f"event: {name}\ndata: {json.dumps(data, separators=(',', ':'))}\n\n".encode()


def steps(progress: Progress) -> dict[str, Any]:
    """Where a run is, as JSON; `left_s` only where it is known."""
    left = {} if progress.left_s is None else {"left_s": round(progress.left_s, 2)}
    return {"step": progress.step, "total": progress.total, **left}


def preview(progress: Progress | None) -> Image.Image | None:
    """The picture so far of the one request that a progress is told to."""
    own = progress.preview[0] if progress and progress.preview else None
    return own if isinstance(own, Image.Image) else None


def data_url(picture: Image.Image | None) -> str:
    """A small JPEG in a data: URL; empty for no picture."""
    if picture is None:
        return ""
    small, data = picture.convert("RGB"), io.BytesIO()
    small.thumbnail((PREVIEW_PX, PREVIEW_PX))
    small.save(data, "jpeg", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}"
