"""What Streamlit's pages have of the hub's own: its style, the bar that every page has, a step to the answer."""

from __future__ import annotations

import streamlit as st

from hub.pages.kinds import from_words
from hub.web.parts.pieces import piece, script
from hub.web.streamlit_ui.host import Host


def draw_frame(host: Host, base: str) -> None:
    """The bar on top, and the style of all that the hub draws itself. `base`: where the hub is, without a slash."""
    st.html(piece("streamlit", "style", script("../style.css"), st.context.theme.type == "dark"))
    has_pictures = any(from_words(page.declared) for page in host.hub.visible)
    st.html(piece("streamlit", "bar", f"{base}/", host.beside_gradio, has_pictures, host.hub.settings.asks))


def scroll_to_answer(run: int) -> None:
    """Brings the answer's place into view, once for each `run`: it may be below a phone's screen."""
    st.html(piece("streamlit", "to_answer", run), unsafe_allow_javascript=True)
