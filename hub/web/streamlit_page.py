"""The Streamlit app: a gallery and a page per demo, from the same declarations and engine as every other door."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from hub import describe
from hub.registry import Page
from hub.web import streamlit_demo
from hub.web.streamlit_host import ICON, Host, current
from hub.web.streamlit_mount import PATH
from hub.web.streamlit_text import plain

COVER = (640, 400)  # pixels
COLUMNS = 3


def draw() -> None:
    """What Streamlit runs for each visitor, at each click."""
    host = current()
    st.set_page_config("Demo Hub", page_icon=str(ICON), layout="wide")
    st.logo(str(ICON), size="large")
    pages = {page.slug: _page(host, page) for page in host.engine.registry}
    show = partial(gallery, host, pages)
    home = st.Page(show, title="All demos", icon=":material/apps:", default=True, url_path="all")
    chosen = st.navigation({"": [home], "Demos": list(pages.values())}, expanded=True)
    with st.sidebar:
        _links(host, base(host, chosen.url_path), chosen.url_path)
    chosen.run()


def _page(host: Host, page: Page) -> StreamlitPage:
    def show() -> None:
        streamlit_demo.show(host, page, base(host, page.slug))

    return st.Page(show, title=page.title, url_path=page.slug)


def base(host: Host, here: str) -> str:
    """Where the hub is, without a slash at the end: as the setting says, else as the browser asked for this page."""
    if host.engine.settings.public_url:
        return host.engine.settings.public_url.rstrip("/")
    url = urlsplit(st.context.url or f"http://127.0.0.1:{host.engine.settings.port}{PATH}")
    path = url.path.rstrip("/").removesuffix(f"/{here}" if here else "").rstrip("/")
    return f"{url.scheme}://{url.netloc}{path.removesuffix(PATH) if host.beside_gradio else path}"


def _links(host: Host, base: str, here: str) -> None:
    """Ways to the other doors."""
    if host.beside_gradio:
        st.markdown(f"[Open in Gradio]({base}/{here})  \n[Status]({base}/status)")
    st.markdown(f"[REST API]({base}/api/v1/openapi.json)")


def gallery(host: Host, pages: dict[str, StreamlitPage]) -> None:
    """The home page: a card per demo."""
    st.title("Try the models", anchor=False)
    count = len(pages)
    st.markdown(
        f"{count} live demo{'s' if count != 1 else ''}. Give one your own picture, or start from an example. "
        "Everything runs on this machine."
    )
    for text in describe.notices(host.engine):
        st.warning(plain(text), icon=":material/warning:")
    entries = list(host.engine.registry)
    for first in range(0, count, COLUMNS):
        for column, page in zip(st.columns(COLUMNS), entries[first : first + COLUMNS], strict=False):
            with column, st.container(border=True, height="stretch"):
                _card(host, page, pages[page.slug])


def _card(host: Host, page: Page, target: StreamlitPage) -> None:
    if page.cover is not None:
        st.image(streamlit_demo.small(page.cover, COVER), alt="", width="stretch")
    if page.declared is not None:
        st.caption(plain(page.declared.task))
    st.page_link(target, label=f"**{plain(page.title)}**", icon=":material/arrow_forward:", icon_position="right")
    st.markdown(plain(page.declared.summary if page.declared else "It could not be built. Open it to see why."))
    streamlit_demo.badge(host.engine, page)
