"""The MCP door: a tool per page at `/mcp` (streamable HTTP, stateless) or over stdio, all through `Engine.run`.

On the official SDK's low-level server: Gradio's own MCP support needs an older SDK and pydantic, and names and
types its tools after its components rather than after the declarations.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Any

import anyio
from anyio import to_thread
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from mcp.types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
)
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from hub.engine.jobs import Cancel, text_so_far
from hub.errors import BusyError, DeclarationError, ForbiddenError, HubError
from hub.hub import Hub
from hub.pages.registry import Page
from hub.people import asking
from hub.people.users import Caller
from hub.spec import Progress
from hub.web.api.openapi import hub_version
from hub.web.mcp import batches
from hub.web.mcp import tools as mcp_tools
from hub.web.middleware import access, addresses, guard, hosts
from hub.web.middleware.bounds import call_bytes
from hub.web.problems import problem
from hub.web.waiting import WaitingThreads

log = logging.getLogger(__name__)
PATH = "/mcp"
STAGES = {"queued": 0.0, "loading": 0.1, "running": 0.2}  # progress has to grow; a page's own steps count from 1
LEAST_STEP = 0.001  # what more of a text counts where the page's own steps stand still
INSTRUCTIONS = (
    "Each tool runs one live model demo. Leave out what you do not care about: only pictures and texts are required. "
    "The same inputs give the same stored result. Errors say what was given and what is allowed."
)
NO_BROWSER = "This is the MCP endpoint of a Demo Hub. Give its address to an MCP client; it takes POST.\n"


def make(hub: Hub, files: bool = False) -> Server[Any]:
    """The MCP server over one hub. `files`: a client on this machine may name pictures by their paths."""
    calls = ToolCalls(hub, files)
    return Server(
        "demo-hub",
        version=hub_version(),
        title="Demo Hub",
        instructions=INSTRUCTIONS,
        on_list_tools=calls.list_tools,
        on_call_tool=calls.call_tool,
        get_tool_input_schema=lambda name: None,  # no argument travels as a header
    )


class ToolCalls:
    """The handlers over one hub."""

    def __init__(self, hub: Hub, files: bool):
        self.hub, self.files = hub, files
        self.threads = WaitingThreads(hub)

    async def list_tools(
        self, context: ServerRequestContext[Any, Any], params: PaginatedRequestParams | None
    ) -> ListToolsResult:
        with asking.asked_by(_who(context)):
            return ListToolsResult(tools=await to_thread.run_sync(self._tools))

    def _tools(self) -> list[Any]:
        pages = [mcp_tools.tool(self.hub, page, self.files) for page in self.hub.visible if page.declared]
        return [*pages, *batches.tools(self.hub, self.files)]

    async def call_tool(self, context: ServerRequestContext[Any, Any], params: CallToolRequestParams) -> CallToolResult:
        """One run. Its cancellation, by notification or because the client went away, ends the run in the engine."""
        who = _who(context)
        with asking.asked_by(who):
            return await self._call(context, params, who)

    async def _call(
        self, context: ServerRequestContext[Any, Any], params: CallToolRequestParams, who: Caller | None
    ) -> CallToolResult:
        if params.name in (batches.MANY, batches.JOB):
            work = partial(self._call_batch, params.name, params.arguments or {}, context.request)
            return await to_thread.run_sync(work)
        try:
            page = self.hub.visible.get(params.name)
        except HubError as error:
            raise MCPError(INVALID_PARAMS, error.message) from None
        if page.declared is None:
            return mcp_tools.failure(DeclarationError(page.error))
        request = context.request
        events: asyncio.Queue[tuple[str, Progress | None] | None] = asyncio.Queue()
        loop, cancel = asyncio.get_running_loop(), Cancel()

        def hear(stage: str, progress: Progress | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, (stage, progress))

        work = partial(self._run, page, params.arguments or {}, hear, cancel, who, request)
        try:
            async with anyio.create_task_group() as group:
                group.start_soon(_report_progress, context, events)
                try:
                    answer = await self.threads.run(who, work)
                except BusyError as error:
                    answer = mcp_tools.failure(error)
                events.put_nowait(None)
        finally:
            cancel.set()
        return answer

    def _call_batch(self, name: str, arguments: dict[str, Any], request: Any) -> CallToolResult:
        is_http = isinstance(request, Request)
        who, base = (guard.caller(request), addresses.base(self.hub.settings, request)) if is_http else (None, "")
        try:
            return batches.call(self.hub, name, arguments, who, base, self.files)
        except HubError as error:
            return mcp_tools.failure(error)
        except Exception as error:  # the last net, as below
            log.error("the tool %s failed", name, exc_info=error)
            return mcp_tools.failure(HubError("The hub failed on this call; its log has the details."))

    def _run(
        self, page: Page, arguments: dict[str, Any], hear: Any, cancel: Cancel, who: Caller | None, request: Any
    ) -> CallToolResult:
        base = addresses.base(self.hub.settings, request) if isinstance(request, Request) else ""
        try:
            inputs = mcp_tools.inputs(self.hub, page, arguments, self.files)
            result = self.hub.engine.run(page.slug, inputs, on_event=hear, cancel=cancel, caller=who)
            return mcp_tools.answer(result, page, base)
        except HubError as error:
            return mcp_tools.failure(error)
        except Exception as error:  # the last net: a fault of ours must not end the connection
            log.error("the tool %s failed", page.slug, exc_info=error)
            return mcp_tools.failure(HubError("The hub failed on this call; its log has the details."))


def _who(context: ServerRequestContext[Any, Any]) -> Caller | None:
    """Who calls; over stdio it is this machine's user."""
    request = context.request
    return guard.caller(request) if isinstance(request, Request) else None


async def _report_progress(
    context: ServerRequestContext[Any, Any], events: asyncio.Queue[tuple[str, Progress | None] | None]
) -> None:
    """Progress notifications, where the client asked for them; ends at None. Of a page that writes, the text so far."""
    last, told = -1.0, ""
    while (event := await events.get()) is not None:
        stage, progress = event
        now, total = (float(progress.step), float(progress.total)) if progress else (STAGES.get(stage, 0.0), None)
        text = text_so_far(progress)
        if text and text != told:
            now = max(now, last + LEAST_STEP)
        elif text:
            continue  # a step without more of it
        if now > last:
            last, told = now, text
            await context.session.report_progress(now, total, text or stage)


# --- HTTP -----------------------------------------------------------------------------------------


class HttpDoor:
    """`/mcp` over streamable HTTP: each request stands alone, so a restart of the hub loses nobody's session."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self._manager = StreamableHTTPSessionManager(
            make(hub),
            stateless=True,
            max_request_body_size=call_bytes(hub),
            security_settings=TransportSecuritySettings(
                enable_dns_rebinding_protection=False
            ),  # `hosts` and `guard` look
        )

    def routes(self) -> list[BaseRoute]:
        return [Route(path, self, name=f"mcp:{path}") for path in (PATH, f"{PATH}/")]

    def run(self) -> AbstractAsyncContextManager[None]:
        """The context in which requests are served. It can be entered once."""
        return self._manager.run()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:  # the guard looked already, where there is one
            hosts.check(self.hub.settings, scope)
            if why := access.crossing(self.hub.settings, request.headers):
                raise ForbiddenError("No MCP from here. {why}", why=why)
        except HubError as error:
            await problem(error, request)(scope, receive, send)
            return
        if request.method != "POST":  # there is nothing to stream outside of an answer
            refused: Response = PlainTextResponse(NO_BROWSER, 405, headers={"Allow": "POST"})
            await refused(scope, receive, send)
        else:
            await self._manager.handle_request(scope, receive, send)
