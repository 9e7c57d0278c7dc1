"""The Streamlit app: a gallery and a page per demo, from the same declarations and engine as every other door."""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from hub import describe, texts
from hub.pages.registry import Page
from hub.spec import ImageInput
from hub.texts import Catalogue, say, speak
from hub.web.middleware import languages
from hub.web.parts import html
from hub.web.streamlit_ui import demo as streamlit_demo
from hub.web.streamlit_ui.frame import draw_frame
from hub.web.streamlit_ui.host import ICON, Host, current
from hub.web.streamlit_ui.mount import PATH
from hub.web.streamlit_ui.text import say_plainly

COVER = (640, 400)  # pixels
COLUMNS = 3
LANGUAGE, ASKED = "language", "language asked for"  # in the session: the one in use, and the last address's


def draw() -> None:
    """What Streamlit runs for each visitor, at each click."""
    host = current()
    speak(language(host))
    # First, since the icon of a page in the menu would be its favicon too, and be fetched from elsewhere.
    st.set_page_config("Demo Hub", page_icon=str(ICON), layout="wide")
    pages = {page.slug: _page(host, page) for page in host.hub.visible}
    show = partial(gallery, host, pages)
    home = st.Page(show, title=say("All demos"), icon=":material/apps:", default=True, url_path="all")
    page = st.navigation({"": [home], say("Demos"): list(pages.values())}, expanded=True)
    st.set_page_config(f"{page.title} · Demo Hub" if page.url_path else "Demo Hub")
    here = base(host, page.url_path)
    with st.sidebar:
        _draw_languages()
        if host.beside_gradio:
            _draw_other_page(host, here, page.url_path)
    draw_frame(host, here)
    page.run()


def _page(host: Host, page: Page) -> StreamlitPage:
    def show() -> None:
        streamlit_demo.show(host, page, base(host, page.slug))

    return st.Page(show, title=say(page.title), url_path=page.slug)


def language(host: Host) -> Catalogue:
    """What was chosen in this session or by the address, else by cookie, header and browser as for every page."""
    address, headers = st.query_params.get(languages.PARAMETER, ""), st.context.headers
    if texts.language_of(address) and address != st.session_state.get(ASKED):  # a new address
        st.session_state[ASKED], st.session_state[LANGUAGE] = address, texts.language_of(address)
    accepted = str(headers.get("accept-language") or st.context.locale or "")
    cookie = str(st.context.cookies.get(languages.COOKIE, ""))
    return host.hub.texts[languages.choose_language(st.session_state.get(LANGUAGE) or "", cookie, accepted)]


def _draw_languages() -> None:
    """A choice of languages, each by its own name. The address has it too, so that a reload keeps it."""
    now = texts.current().language
    st.segmented_control(
        say("Language"), list(texts.NAMES), default=now, key=f"{LANGUAGE}/{now}", format_func=texts.NAMES.__getitem__,
        required=True, label_visibility="collapsed", on_change=_use_language, args=(f"{LANGUAGE}/{now}",),
    )  # fmt: skip


def _use_language(widget: str) -> None:
    language_tag = st.session_state[widget]
    st.session_state[LANGUAGE] = st.session_state[ASKED] = st.query_params[languages.PARAMETER] = language_tag


def base(host: Host, here: str) -> str:
    """Where the hub is, without a slash at the end: as the setting says, else as the browser asked for this page."""
    if host.hub.settings.public_url:
        return host.hub.settings.public_url.rstrip("/")
    url = urlsplit(st.context.url or f"http://127.0.0.1:{host.hub.settings.port}{PATH}")
    path = url.path.rstrip("/").removesuffix(f"/{here}" if here else "").rstrip("/")
    return f"{url.scheme}://{url.netloc}{path.removesuffix(PATH) if host.beside_gradio else path}"


def _draw_other_page(host: Host, base: str, here: str) -> None:
    """The way to the same page of Gradio, and what is there only."""
    declared = host.hub.visible.get(here).declared if here else None
    only_there = []
    if declared is not None and len(declared.weights) > 1:
        only_there.append(say("compare two sets of weights"))
    if declared is not None and any(isinstance(field, ImageInput) and field.webcam for field in declared.inputs):
        only_there.append(say("live camera"))
    st.markdown(f"[{say_plainly('Open in Gradio')}]({base}/{here})")
    if only_there:
        st.caption(say_plainly("Only there: {what}", what=say(", ").join(only_there)))


def gallery(host: Host, pages: dict[str, StreamlitPage]) -> None:
    """The home page: a card per demo."""
    st.title(say_plainly("Try the models"), anchor=False)
    count = len(pages)
    st.markdown(html.invitation(count))
    for text in describe.notices(host.hub):
        st.warning(say_plainly(text), icon=":material/warning:")
    entries = list(host.hub.visible)
    for first in range(0, count, COLUMNS):
        for column, page in zip(st.columns(COLUMNS), entries[first : first + COLUMNS], strict=False):
            with column, st.container(border=True, height="stretch"):
                _draw_card(host, page, pages[page.slug])


def _draw_card(host: Host, page: Page, target: StreamlitPage) -> None:
    if (cover := page.cover_in(texts.current().language)) is not None:
        st.image(streamlit_demo.small(cover, COVER), alt="", width="stretch")
    if page.declared is not None:
        st.caption(say_plainly(page.declared.task))
    st.page_link(target, label=f"**{say_plainly(page.title)}**", icon=":material/arrow_forward:", icon_position="right")
    summary = page.declared.summary if page.declared else "This page could not be built. Open it to see why."
    st.markdown(say_plainly(summary))
    streamlit_demo.draw_badge(host.hub, page)
