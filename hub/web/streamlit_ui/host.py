"""What the Streamlit pages work on: the one hub of the process. Imports no Streamlit."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hub import texts
from hub.errors import HubError
from hub.hub import Hub
from hub.settings import ROOT

log = logging.getLogger(__name__)
SCRIPT = ROOT / "streamlit_app.py"
ICON = Path(__file__).parents[1] / "favicon.png"


@dataclass(frozen=True, slots=True)
class Host:
    """The hub, threads to wait for it in, and whether the Gradio pages are there too."""

    hub: Hub
    threads: ThreadPoolExecutor
    beside_gradio: bool


# Streamlit runs a script by its path and hands it nothing, so this is where the script looks. Set once, at start.
_host: Host | None = None


def use(hub: Hub, *, beside_gradio: bool = True) -> Host:
    """Makes `hub` the one that all Streamlit pages of this process show."""
    global _host
    threads = ThreadPoolExecutor(hub.settings.queue_limit + 8, thread_name_prefix="streamlit")
    _host = Host(hub, threads, beside_gradio)
    return _host


def current() -> Host:
    """Raises HubError when there is no hub in this process."""
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
