"""`python -m hub mcp`: every page as a tool for a desktop agent, over stdin and stdout. No server is needed."""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout

from hub.hub import Hub
from hub.settings import Settings

HELP = "Offer every page as an MCP tool over stdin and stdout, for desktop agents."


def run(args: argparse.Namespace, settings: Settings) -> int:
    """Serves until stdin ends. Pictures may be named by their paths: the agent runs as the same user."""
    import anyio
    from mcp.server.stdio import stdio_server

    from hub.web.mcp import server as mcp_server

    with redirect_stdout(sys.stderr):  # what a page prints as it is read; stdout has the protocol alone
        hub = Hub(settings)
        hub.jobs.start()  # unless a served hub over the same data does them
    server = mcp_server.make(hub, files=True)

    async def serve() -> None:
        async with stdio_server() as (incoming, outgoing):  # whatever libraries print goes to stderr meanwhile
            await server.run(incoming, outgoing, server.create_initialization_options())

    try:
        anyio.run(serve)
    finally:
        hub.close()
    return 0
