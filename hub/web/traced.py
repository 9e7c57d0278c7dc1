"""The door's part of a trace: each request has ids that its log lines carry, and what is asked of the hub is a span.

A request that says of which trace it is (`traceparent`) goes on in it, and its answer says where (`traceresponse`).
Pages and files are not told of: a page has dozens, and none of them runs anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import tracing
from hub.hub import Hub

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
QUIET = frozenset({"GET", "HEAD", "OPTIONS"})


class Traced:
    """Innermost of all layers: of who may not come in nothing is told."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.tracer = app, hub.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        above, method = tracing.read_header(Headers(scope=scope).getlist(tracing.ASKED)), str(scope["method"])
        is_told = above is not None or (method not in QUIET and self.tracer.is_on)
        span = self.tracer.begin(method, above, at_door=True) if is_told else tracing.OpenSpan(tracing.new_trace(above))
        scope, status = {**scope, tracing.SCOPE: span.trace}, 0

        async def with_header(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if is_told:
                    MutableHeaders(scope=message)[tracing.ANSWERED] = span.trace.header
            await send(message)

        with tracing.entered(span.trace):
            try:
                await self.app(scope, receive, with_header)
            finally:
                if is_told:
                    _end(span, scope, method if method in METHODS else "_OTHER", status)


def _end(span: tracing.OpenSpan, scope: Mapping[str, Any], method: str, status: int) -> None:
    """`status`: 0, the client went away before there was one."""
    told: dict[str, str | int] = {"http.request.method": method}
    if status:
        told["http.response.status_code"] = status
    if "endpoint" in scope and status != 404:
        told["http.route"] = route = route_of(str(scope["path"]), scope.get("path_params", {}))
        span.rename(f"{method} {route}")
    span.tell(told)
    span.end(failed=status >= 500)


def route_of(path: str, parameters: Mapping[str, Any]) -> str:
    """A path with the names of its parameters for their values, of which some are keys."""
    for name, value in ((name, str(value)) for name, value in parameters.items() if str(value)):
        parts = path.split("/")
        if value in parts:
            path = "/".join(f"{{{name}}}" if part == value else part for part in parts)
        else:
            path = path.replace(value, f"{{{name}}}")
    return path
