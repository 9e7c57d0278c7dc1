"""The one assembler: what `app.py` and `streamlit run` serve has the same routes, the same layers and the same life.

An entry point adds its own pages and what they need around them: Gradio's (and Streamlit's below them) at `app.py`,
Streamlit's at `streamlit run`. Neither imports what draws the other's.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from anyio import to_thread
from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.routing import BaseRoute

from hub import describe
from hub.errors import HubError
from hub.hub import Hub
from hub.web import traced
from hub.web.api import audit, corrections, gallery, grid, jobs, openapi, usage
from hub.web.api import demos as rest
from hub.web.api import history as history_rest
from hub.web.api import links as links_rest
from hub.web.mcp import mount as mcp_mount
from hub.web.middleware import (
    addresses,
    arrivals,
    bounds,
    ending,
    guard,
    headers,
    hosts,
    languages,
    packing,
    paths,
    sessions,
    sockets,
)
from hub.web.middleware.entrance import space_signin
from hub.web.site import audit as audit_pages
from hub.web.site import corrections as correction_pages
from hub.web.site import docs, embed, manifest, pictures
from hub.web.site import gallery as gallery_pages
from hub.web.site import grid as grid_pages
from hub.web.site import history as history_pages
from hub.web.site import links as permalinks
from hub.web.site import many as many_pages
from hub.web.site import usage as usage_pages

log = logging.getLogger(__name__)


def routes(hub: Hub, mcp: mcp_mount.McpRoutes) -> list[BaseRoute]:
    """What every entry point serves, in the order in which addresses are looked up.

    Those of `rest` come last, since they answer whatever else is asked for under /api.
    """
    return [
        *embed.routes(hub),
        *mcp.routes(),
        *grid_pages.routes(hub),
        *grid.routes(hub),
        *jobs.routes(hub),
        *many_pages.routes(hub),
        *history_pages.routes(hub),
        *history_rest.routes(hub),
        *gallery_pages.routes(hub),
        *gallery.routes(hub),
        *permalinks.routes(hub),
        *docs.routes(hub),
        *usage_pages.routes(hub),
        *usage.routes(hub),
        *audit_pages.routes(hub),
        *audit.routes(hub),
        *correction_pages.routes(hub),
        *pictures.routes(hub),
        *manifest.routes(),
        *links_rest.routes(hub),
        *corrections.routes(hub),
        *rest.routes(hub),
    ]


def layers(hub: Hub, pages: Sequence[Middleware], sign_in: Sequence[Middleware] = ()) -> list[Middleware]:
    """What a request passes on its way to a route, outermost first.

    `pages` are those of the entry point's own pages; `sign_in` is what a Space knows its users by.
    """
    proxied = [Middleware(addresses.BehindProxy, settings=hub.settings)] if hub.settings.public_url else []
    return [
        Middleware(ending.Ending, hub=hub),  # outermost: it answers whatever the hub's end cuts off
        Middleware(headers.SafeHeaders, hub=hub),
        Middleware(packing.Packed),  # around all that changes pages
        Middleware(hosts.Names, hub=hub),  # no layer may answer under a name that is not the hub's
        *proxied,  # around all others, so that they see paths without the proxy's
        *sign_in,
        Middleware(languages.Languages, hub=hub),  # around the guard, whose refusals are pages too
        *guard.layers(hub),
        Middleware(sockets.Sockets, hub=hub),
        Middleware(bounds.Bounds, hub=hub),  # within the guard: no body is read of who may not come in
        Middleware(paths.Paths),
        Middleware(addresses.FromPage),
        Middleware(sessions.SessionCookie, hub=hub),
        *pages,
        Middleware(arrivals.Arrivals, hub=hub),
        Middleware(traced.Traced, hub=hub),
    ]


@asynccontextmanager
async def life(hub: Hub, mcp: mcp_mount.McpRoutes) -> AsyncIterator[None]:
    """From the start of the server to its end, with which the hub is closed."""
    # Pages are served while torch is still being imported and models preloaded.
    threading.Thread(target=warm_up, args=(hub,), name="warm-up", daemon=True).start()
    await to_thread.run_sync(hub.jobs.start)
    async with mcp.run():
        yield
    hub.stop.begun.set()
    hub.stop.over.set()
    hub.close()


def build_app(hub: Hub) -> FastAPI:
    """The whole hub, with the Gradio pages at `/` and Streamlit's at `/streamlit`. Closing its lifespan closes it."""
    from hub.web.gradio_ui import mount as gradio_mount
    from hub.web.streamlit_ui import mount as streamlit_mount

    mcp, streamlit, pages = mcp_mount.make(hub), streamlit_mount.Mounted(hub), gradio_mount.build(hub)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with life(hub, mcp):
            sweeping = asyncio.create_task(pages.hub_files.sweeping())
            yield
            sweeping.cancel()
            await streamlit.close()
            pages.hub_files.close()

    app = FastAPI(
        title="Demo Hub", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json",
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},  # see hub/telemetry.py
    )  # fmt: skip
    app.state.gradio_pages = pages
    app.openapi = partial(openapi.of_hub, hub)  # type: ignore[method-assign]  # as FastAPI says to replace it
    app.router.routes[:0] = routes(hub, mcp)
    if hub.settings.reload:
        from hub.web.reloading import Reloading

        reloading = Reloading(hub, partial(gradio_mount.redraw, hub, pages))
        app.router.routes[:0] = reloading.routes()
        hub.at_close(reloading.close)
    streamlit.add_to(app)
    space_signin.add_to(app, hub.settings)
    app.user_middleware[:] = layers(hub, gradio_mount.layers(hub, pages), sign_in=[*app.user_middleware])
    return gradio_mount.mount(app, hub, pages)


def streamlit_options() -> dict[str, Any]:
    """Options of Streamlit's `App` for a hub with Streamlit's pages alone, at `/`.

    Settings are HUB_* variables or HUB_SETTINGS_FILE, as for `app.py`. Raises HubError.
    """
    from hub.web.streamlit_ui import alone

    hub = alone.make_hub()
    mcp = mcp_mount.make(hub)
    return {
        "routes": routes(hub, mcp),
        "middleware": layers(hub, alone.layers(hub)),
        "lifespan": lambda app: life(hub, mcp),
        "on_script_error": alone.failed,
    }


def warm_up(hub: Hub) -> None:
    """Imports torch, picks the device, and preloads models if asked to. Errors are logged, and shown on pages."""
    for reason in describe.missing(hub):
        log.warning("%s", reason)
    try:
        hub.models.machine()
    except HubError as error:
        log.error("%s", error.message)
        return
    if hub.settings.preload:
        for page in hub.registry:
            if page.declared is None:
                continue
            try:
                if not hub.models.preload(page.slug):
                    log.info("%s is not preloaded: no room without evicting another", page.slug)
            except HubError as error:
                log.error("%s is not preloaded: %s", page.slug, error.message)
