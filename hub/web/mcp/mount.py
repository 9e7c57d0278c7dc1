"""The MCP door, or words in its place where the SDK is too old: the builder of Gradio Spaces insists on mcp 1."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from hub.hub import Hub

log = logging.getLogger(__name__)
PATH = "/mcp"


class McpRoutes(Protocol):
    """What the server needs of it: a context to serve in, and its routes."""

    def run(self) -> AbstractAsyncContextManager[None]: ...

    def routes(self) -> list[BaseRoute]: ...


def make(hub: Hub) -> McpRoutes:
    """The MCP server over HTTP."""
    try:
        from hub.web.mcp import server as mcp_server
    except ImportError as error:
        log.warning("there is no MCP at %s: %s", PATH, error)
        return Closed()
    return mcp_server.HttpDoor(hub)


class Closed:
    """Says in the place of the MCP server why there is none."""

    @asynccontextmanager
    async def run(self) -> AsyncIterator[None]:
        yield

    def routes(self) -> list[BaseRoute]:
        return [Route(PATH, explain_absence, methods=["GET", "POST", "DELETE"])]


async def explain_absence(request: Request) -> Response:
    return PlainTextResponse("The MCP endpoint of this hub needs mcp 2 or newer: pip install --upgrade mcp\n", 503)
