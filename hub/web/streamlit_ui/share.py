"""Share, below a result: makes a link to it, and lists this browser's others."""

from __future__ import annotations

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
from hub.web.streamlit_ui.text import plain, said

ENDS = {"never": None, "in a day": 1, "in a week": 7, "in 30 days": 30, "in a year": 365}
LISTED = 20  # own links on the page


@dataclass(slots=True)
class _Sharing:
    """Of one page in one browser session, by ids of results: the one to be shared, and the one shared last."""

    wanted: str = ""
    of: str = ""
    made: str = ""  # its link


def panel(host: Host, page: Page, result: Result, values: Values, base: str) -> None:
    """Draws nothing where links are switched off. `base`: where the hub is, without a slash at the end."""
    if not host.hub.sharing.wanted:
        return
    private, state = private_inputs(page.demo), _sharing(page)
    with st.expander(said("Share this result"), icon=":material/share:"):
        with st.form(f"{page.slug}/share", border=False):
            help = said("Shown above the result; may stay empty")
            note = st.text_area(said("Note"), help=help, max_chars=NOTE_CHARS, height=80)
            ends = st.selectbox(said("The link ends"), list(ENDS), format_func=say)
            include = True
            if private:
                words = "Include what I put in" if len(private) != 1 else "Include my picture"
                help = said("Output pictures that were drawn over it show it anyway")
                include = st.checkbox(said(words), True, help=help)
            options: dict[str, Any] = {"on_click": _want, "args": (state, result.id)}
            st.form_submit_button(said("Make the link"), icon=":material/add_link:", **options)
        wanted, state.wanted = state.wanted, ""
        if wanted == result.id:
            try:
                link, _ = host.hub.sharing.share(
                    result.id,
                    who=who(host.hub),
                    note=note,
                    days=ENDS[ends],
                    leave_out=() if include else private,
                    given={name: picture.data for name, picture in values.pictures.items()},
                )
                state.of, state.made = result.id, link.id
            except HubError as error:
                st.error(f"**{said(error.title)}**  \n{said(error.message)}", icon=":material/error:")
        made = state.made if state.of == result.id else ""
        if made:
            address = f"{base}/r/{made}"
            st.code(address, language=None, wrap_lines=True)
            st.link_button(said("Open"), address, icon=":material/open_in_new:")
        _others(host, page, base, without=made)


def _sharing(page: Page) -> _Sharing:
    found = st.session_state.get(f"{page.slug}/sharing")
    if not isinstance(found, _Sharing):
        found = st.session_state[f"{page.slug}/sharing"] = _Sharing()
    return found


def _want(state: _Sharing, id: str) -> None:
    """In a callback: the page may be drawn anew at any moment, which would end the script before it comes here."""
    state.wanted = id


def _others(host: Host, page: Page, base: str, without: str) -> None:
    links, owners = host.hub.sharing.links, who(host.hub).ids
    try:
        found = links.all(owners, page.slug, LISTED) if owners else []
    except HubError as error:
        st.error(said(error.message))
        return
    live = [link for link in found if link.state(links.clock()) == "live" and link.id != without]
    if live:
        st.caption(said("Your other links"))
    for link in live:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                f"[{plain(link_title(link))}]({base}/r/{link.id})  \n{plain(link_facts(link))}", width="stretch"
            )
            st.button(said("Take back"), key=f"end/{link.id}", on_click=_end, args=(host, link.id), type="tertiary")


def _end(host: Host, id: str) -> None:
    """Takes a link back, if this browser made it."""
    try:
        if not host.hub.sharing.links.owns(id, owners=who(host.hub).ids):
            raise ForbiddenError("Only the browser that made this link can take it back.")
        host.hub.sharing.links.revoke(id)
    except HubError as error:
        st.toast(said(error.message), icon=":material/error:")
