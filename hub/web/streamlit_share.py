"""Share, below a result: makes a link to it, and lists this browser's others."""

from __future__ import annotations

import streamlit as st

from hub.errors import ForbiddenError, HubError
from hub.links import NOTE_CHARS, Link
from hub.registry import Page
from hub.results import Result
from hub.sharing import private_inputs
from hub.web.permalinks import day
from hub.web.streamlit_host import Host
from hub.web.streamlit_inputs import Values
from hub.web.streamlit_run import session
from hub.web.streamlit_text import plain

ENDS = {"never": None, "in a day": 1, "in a week": 7, "in 30 days": 30, "in a year": 365}
LISTED = 20  # own links on the page


def panel(host: Host, page: Page, result: Result, values: Values, base: str) -> None:
    """Draws nothing where links are switched off. `base`: where the hub is, without a slash at the end."""
    if not host.engine.sharing.wanted:
        return
    private = private_inputs(page.demo)
    with st.expander("Share this result", icon=":material/share:"):
        with st.form(f"{page.slug}/share", border=False):
            note = st.text_area("Note", help="Shown above the result; may stay empty", max_chars=NOTE_CHARS, height=80)
            ends = st.selectbox("The link ends", list(ENDS))
            include = True
            if private:
                words = "Include what I put in" if len(private) != 1 else "Include my picture"
                help = "Output pictures that were drawn over it show it anyway"
                include = st.checkbox(words, True, help=help)
            wanted = st.form_submit_button("Make the link", icon=":material/add_link:")
        made = f"{page.slug}/made"
        if wanted:
            try:
                link, _ = host.engine.sharing.share(
                    result.id,
                    owner=_owner(host),
                    note=note,
                    days=ENDS[ends],
                    leave_out=() if include else private,
                    given={name: picture.data for name, picture in values.pictures.items()},
                )
                st.session_state[made] = (result.id, link.id)
            except HubError as error:
                st.error(f"**{plain(error.title)}**  \n{plain(error.message)}", icon=":material/error:")
        of, id = st.session_state.get(made, ("", ""))
        if of == result.id:
            address = f"{base}/r/{id}"
            st.code(address, language=None, wrap_lines=True)
            st.link_button("Open", address, icon=":material/open_in_new:")
        _others(host, page, base, without=id if of == result.id else "")


def _owner(host: Host) -> str:
    return host.engine.sharing.owner(session())


def _others(host: Host, page: Page, base: str, without: str) -> None:
    links, owner = host.engine.sharing.links, _owner(host)
    try:
        found = links.all(owner, page.slug, LISTED) if owner else []
    except HubError as error:
        st.error(plain(error.message))
        return
    live = [link for link in found if link.state(links.clock()) == "live" and link.id != without]
    if live:
        st.caption("Your other links")
    for link in live:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"[{plain(_title(link))}]({base}/r/{link.id})  \n{plain(_facts(link))}", width="stretch")
            st.button("Take back", key=f"end/{link.id}", on_click=_end, args=(host, link.id), type="tertiary")


def _title(link: Link) -> str:
    return (link.note.splitlines()[0][:80] if link.note else link.headline) or "Result"


def _facts(link: Link) -> str:
    until = [f"until {day(link.expires)}"] if link.expires else []
    said = [f"{link.up} up"] * bool(link.up) + [f"{link.down} down"] * bool(link.down)
    return " · ".join([f"made {day(link.created)}", *until, *said])


def _end(host: Host, id: str) -> None:
    """Takes a link back, if this browser made it."""
    try:
        if not host.engine.sharing.links.owns(id, owner=_owner(host)):
            raise ForbiddenError("Only the browser that made this link can take it back.")
        host.engine.sharing.links.revoke(id)
    except HubError as error:
        st.toast(plain(error.message), icon=":material/error:")
