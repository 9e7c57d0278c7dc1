"""Share, below a result: a click makes a link to it; a note and an end may follow. Lists this browser's others, too."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import streamlit as st

from hub.errors import ForbiddenError, HubError
from hub.pages.kinds import private_inputs
from hub.pages.registry import Page
from hub.people.terms import NOTE_CHARS
from hub.results.result import Result
from hub.texts import say
from hub.web.parts.wording import link_facts, link_title
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.inputs import Values
from hub.web.streamlit_ui.run import who
from hub.web.streamlit_ui.text import escape_markdown, say_plainly

ENDS = {"never": None, "in a day": 1, "in a week": 7, "in 30 days": 30, "in a year": 365}
LISTED = 20  # own links on the page


@dataclass(slots=True)
class _Sharing:
    """Of one page in one browser session, by ids of results: the one to be shared, and the one shared last."""

    wanted_id: str = ""
    of: str = ""
    link_id: str = ""  # of the one shared last
    included: bool = True  # whether that link shows what was put in


def draw_panel(host: Host, page: Page, result: Result, values: Values, base: str) -> None:
    """Draws nothing where links are switched off. `base`: where the hub is, without a slash at the end."""
    if not host.hub.sharing.enabled:
        return
    state = _sharing(page)
    options: dict[str, Any] = {"on_click": _want_link, "args": (state, result.id)}
    st.button(say_plainly("Share"), key=f"{page.slug}/share", icon=":material/share:", **options)
    wanted_id, state.wanted_id = state.wanted_id, ""
    if wanted_id == result.id:
        with _told():
            _share(host, page, state, result, values)
    link_id = state.link_id if state.of == result.id else ""
    if link_id:
        with st.container(border=True):
            address = f"{base}/r/{link_id}"
            st.code(address, language=None, wrap_lines=True)
            st.link_button(say_plainly("Open"), address, icon=":material/open_in_new:")
            _draw_options(host, page, state, result, values)
    _draw_other_links(host, page, base, without=link_id)


def _draw_options(host: Host, page: Page, state: _Sharing, result: Result, values: Values) -> None:
    """What can be said of the link once it is there."""
    private = private_inputs(page.demo)
    with st.form(f"{page.slug}/link/{result.id}", border=False):
        help = say_plainly("Shown above the result; may stay empty")
        note = st.text_area(say_plainly("Note"), help=help, max_chars=NOTE_CHARS, height=80)
        ends = st.selectbox(say_plainly("The link ends"), list(ENDS), format_func=say)
        include = True
        if private:
            words = "Include what I put in" if len(private) != 1 else "Include my picture"
            help = say_plainly("Output pictures that were drawn over it show it anyway")
            include = st.checkbox(say_plainly(words), True, help=help)
        saved = st.form_submit_button(say_plainly("Save"), icon=":material/save:")
    if saved:
        with _told():
            if include == state.included:
                facts = _change(host, state.link_id, note, ENDS[ends])
                st.success(say_plainly("Saved: {facts}", facts=facts), icon=":material/check:")
            else:  # what a link shows does not change: another takes its place
                before = state.link_id
                _share(host, page, state, result, values, note, ENDS[ends], include)
                host.hub.sharing.links.revoke(before)
                st.rerun()


def _share(
    host: Host,
    page: Page,
    state: _Sharing,
    result: Result,
    values: Values,
    note: str = "",
    days: int | None = None,
    include: bool = True,
) -> None:
    link, _ = host.hub.sharing.share(
        result.id,
        who=who(host.hub),
        note=note,
        days=days,
        leave_out=() if include else private_inputs(page.demo),
        given={name: picture.data for name, picture in values.pictures.items()},
    )
    state.of, state.link_id, state.included = result.id, link.id, include


def _change(host: Host, id: str, note: str, days: int | None) -> str:
    """Returns what the link is now, in a few words."""
    links, owner = host.hub.sharing.links, who(host.hub)
    if not links.owns(id, owners=owner.ids):
        raise ForbiddenError("Only the browser that made this link can change it.")
    links.set_note(id, note)
    links.set_end(id, days, owner)
    (link,) = host.hub.corrections.counted([links.get(id)])
    return link_facts(link)


@contextmanager
def _told() -> Iterator[None]:
    """What goes wrong within is said on the page."""
    try:
        yield
    except HubError as error:
        st.error(f"**{say_plainly(error.title)}**  \n{say_plainly(error.message)}", icon=":material/error:")


def _sharing(page: Page) -> _Sharing:
    sharing = st.session_state.get(f"{page.slug}/sharing")
    if not isinstance(sharing, _Sharing):
        sharing = st.session_state[f"{page.slug}/sharing"] = _Sharing()
    return sharing


def _want_link(state: _Sharing, id: str) -> None:
    """In a callback, since the script may be ended and begun anew at any moment, before it comes to the panel."""
    state.wanted_id = id


def _draw_other_links(host: Host, page: Page, base: str, without: str) -> None:
    links, owners = host.hub.sharing.links, who(host.hub).ids
    try:
        own = host.hub.corrections.counted(links.all(owners, page.slug, LISTED)) if owners else []
    except HubError as error:
        st.error(say_plainly(error.message))
        return
    live = [link for link in own if link.state(links.clock()) == "live" and link.id != without]
    if live:
        st.caption(say_plainly("Your other links"))
    for link in live:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"[{escape_markdown(link_title(link))}]({base}/r/{link.id})  \n{escape_markdown(link_facts(link))}",
                width="stretch",
            )
            st.button(
                say_plainly("Take back"),
                key=f"end/{link.id}",
                on_click=_end_link,
                args=(host, link.id),
                type="tertiary",
            )


def _end_link(host: Host, id: str) -> None:
    """Takes a link back, if this browser made it."""
    try:
        if not host.hub.sharing.links.owns(id, owners=who(host.hub).ids):
            raise ForbiddenError("Only the browser that made this link can take it back.")
        host.hub.sharing.links.revoke(id)
    except HubError as error:
        st.toast(say_plainly(error.message), icon=":material/error:")
