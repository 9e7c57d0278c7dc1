"""What the Streamlit pages work on: the one engine of the process. Imports no Streamlit."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hub import texts
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.settings import ROOT

log = logging.getLogger(__name__)
SCRIPT = ROOT / "streamlit_app.py"
ICON = Path(__file__).parents[1] / "favicon.png"


@dataclass(frozen=True, slots=True)
class Host:
    """The engine, threads to wait for it in, and whether the Gradio pages are there too."""

    hub: Hub
    threads: ThreadPoolExecutor
    beside_gradio: bool


# Streamlit runs a script by its path and hands it nothing, so this is where the script looks. Set once, at start.
_host: Host | None = None


def use(hub: Hub, *, beside_gradio: bool = True) -> Host:
    """Makes `engine` the one that all Streamlit pages of this process show."""
    global _host
    threads = ThreadPoolExecutor(hub.settings.queue_limit + 8, thread_name_prefix="streamlit")
    _host = Host(hub, threads, beside_gradio)
    return _host


def current() -> Host:
    """Raises HubError when no engine was made here."""
    if _host is None:
        raise HubError("No hub is running in this process. Start it with: streamlit run streamlit_app.py")
    return _host


def failed(error: Exception) -> bool:
    """A fault of ours on a page: words for the visitor, the traceback for the log."""
    import streamlit as st

    log.error("a Streamlit page failed", exc_info=error)
    text = error.message if isinstance(error, HubError) else "The hub failed on this page; its log has the details."
    st.error(texts.say(text), icon=":material/error:")
    return True


def alone() -> dict[str, Any]:
    """Options of Streamlit's `App` for a hub without Gradio: REST, shared results, password and sessions are there.

    Settings are HUB_* variables or HUB_SETTINGS_FILE, as for `app.py`. Raises HubError.
    """
    from starlette.middleware import Middleware
    from streamlit import config

    from hub import logs, settings
    from hub.web.api import demos as rest
    from hub.web.api import links as links_rest
    from hub.web.middleware import addresses, bounds, guard, headers, hosts, languages, paths, sessions, sockets
    from hub.web.site import history as history_pages
    from hub.web.site import links as permalinks
    from hub.web.streamlit_ui import door as streamlit_door
    from hub.web.streamlit_ui import mount as streamlit_mount

    chosen = settings.from_environment()
    logs.begin(chosen.log_level)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # else a line for every file of Streamlit's pages
    if chosen.space_users:
        raise InputError("Sign-in with Hugging Face needs the Gradio pages too: python app.py. Here: HUB_AUTH.")
    hub = Hub(replace(chosen, host=config.get_option("server.address") or "0.0.0.0"))  # Streamlit listens
    use(hub, beside_gradio=False)

    @asynccontextmanager
    async def lifespan(app: Any) -> AsyncIterator[None]:
        threading.Thread(target=hub.hardware, name="warm-up", daemon=True).start()
        yield None
        hub.stop.begun.set()
        hub.stop.over.set()
        hub.close()

    middleware = [
        Middleware(headers.SafeHeaders, hub=hub),
        Middleware(hosts.Names, hub=hub),
        Middleware(languages.Languages, hub=hub),
        *guard.layers(hub),
        Middleware(sockets.Sockets, hub=hub),
        Middleware(bounds.Bounds, hub=hub),
        Middleware(paths.Paths),
        Middleware(addresses.FromPage),
        Middleware(sessions.SessionCookie, hub=hub),
        Middleware(history_pages.Arrivals, hub=hub),
        Middleware(streamlit_mount.WithoutOrigin),
        Middleware(streamlit_door.StreamlitDoor, hub=hub),
    ]
    own = [*permalinks.routes(hub), *links_rest.routes(hub), *history_pages.routes(hub)]
    routes = [*own, *rest.routes(hub)]
    return {"routes": routes, "middleware": middleware, "lifespan": lifespan, "on_script_error": failed}
