"""Errors as RFC 9457 problem JSON, with the status, code and headers that fit."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any, NotRequired
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import JSONResponse
from typing_extensions import TypedDict

from hub.errors import BusyError, HubError, OutOfMemoryError, StoppingError

log = logging.getLogger(__name__)
MEDIA_TYPE = "application/problem+json"
EVENTS = "text/event-stream"  # where a problem is the last event
TYPE = "urn:demo-hub:problem:"  # + code


class MalformedError(HubError):
    """The request cannot be read at all: not JSON, not multipart, a broken field."""

    status, title, code = 400, "The request is malformed", "malformed_request"


class MethodError(HubError):
    status, title, code = 405, "The method is not allowed here", "method_not_allowed"

    def __init__(self, message: str, /, *, allowed: Sequence[str], **values: Any):
        super().__init__(message, **values)
        self.allowed = ", ".join(allowed)


class ProblemAnswer(TypedDict):
    """What went wrong, for people in `detail` and for programs in `code` (RFC 9457)"""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    field: NotRequired[str]  # the input at fault


class ProblemResponse(JSONResponse):
    media_type = MEDIA_TYPE


def problem(error: HubError, request: Request) -> ProblemResponse:
    """The response that says what is wrong."""
    body: ProblemAnswer = {
        "type": TYPE + error.code,
        "title": error.title,
        "status": error.status,
        "detail": error.message.encode("utf-8", "replace").decode(),
        "instance": quote(request.scope["path"], safe="/"),
        "code": error.code,
    }
    if error.field is not None:
        body["field"] = error.field[:100].encode("utf-8", "replace").decode()
    headers = {"Cache-Control": "no-store"}
    if isinstance(error, BusyError | StoppingError):
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, MethodError):
        headers["Allow"] = error.allowed
    return ProblemResponse(body, error.status, headers)


def unexpected(error: Exception, request: Request) -> ProblemResponse:
    """A fault of the hub itself: logged with its traceback, answered without."""
    return problem(fault_of(error, request), request)


def fault_of(error: Exception, request: Request, on_page: bool = False) -> HubError:
    """What visitors read of a fault of the hub itself, which is logged with its traceback."""
    if isinstance(error, MemoryError):
        log.error("%s %r had no memory", request.method, request.scope["path"])
        return no_memory()
    log.error("%s %r failed", request.method, request.scope["path"], exc_info=error)
    if on_page:
        return HubError("The hub failed on this page; its log has the details.")
    return HubError("The hub failed on this request; its log has the details.")


def no_memory() -> OutOfMemoryError:
    """The error for when the machine has no memory left for what was sent."""
    return OutOfMemoryError("The hub has no memory left for this request. Send less at once, or try again later.")
