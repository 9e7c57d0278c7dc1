"""Streamlit's pages without Gradio's, as `streamlit run streamlit_app.py` serves them."""

from __future__ import annotations

import logging
from dataclasses import replace

from starlette.middleware import Middleware

from hub import logs, settings
from hub.errors import InputError
from hub.hub import Hub
from hub.web.streamlit_ui import host
from hub.web.streamlit_ui.door import StreamlitDoor
from hub.web.streamlit_ui.host import failed
from hub.web.streamlit_ui.mount import WithoutOrigin

__all__ = ["failed", "layers", "make_hub"]


def make_hub() -> Hub:
    """The hub that the environment describes, which the pages of this process then show. Raises HubError."""
    from streamlit import config

    settings_of_hub = settings.from_environment()
    logs.begin(settings_of_hub.log_level, settings_of_hub.log_format)
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)  # else a line for every file of Streamlit's pages
    if settings_of_hub.space_users:
        raise InputError("Sign-in with Hugging Face needs the Gradio pages too: python app.py. Here: HUB_AUTH.")
    if settings_of_hub.auth_header:
        raise InputError(
            "Sign-in at a proxy (HUB_AUTH_HEADER) needs the hub's own server: python app.py. Here: HUB_AUTH."
        )
    host_name = config.get_option("server.address") or "0.0.0.0"  # Streamlit listens
    hub = Hub(replace(settings_of_hub, host=host_name), serving=True)
    host.use(hub, beside_gradio=False)
    return hub


def layers(hub: Hub) -> list[Middleware]:
    """What Streamlit's pages need around them, outermost first."""
    return [Middleware(WithoutOrigin), Middleware(StreamlitDoor, hub=hub)]
