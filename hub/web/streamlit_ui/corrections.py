"""Whether an answer is right, below it: a plain form."""

from __future__ import annotations

from typing import Any

import streamlit as st

from hub.archive.corrections.corrections import Said
from hub.archive.corrections.parts import Part
from hub.errors import HubError
from hub.pages.registry import Page
from hub.people.terms import NOTE_CHARS
from hub.results.result import Result
from hub.texts import say
from hub.web.streamlit_ui.host import Host
from hub.web.streamlit_ui.inputs import Values
from hub.web.streamlit_ui.run import who
from hub.web.streamlit_ui.text import say_plainly

VERDICTS = {"right": "Right", "wrong": "Wrong, it is ..."}


def draw_panel(host: Host, page: Page, result: Result, values: Values) -> None:
    """Draws nothing where nothing can be said of the result."""
    corrections = host.hub.corrections
    if not corrections.enabled:
        return
    try:
        subject = corrections.subject(result.id, who(host.hub))
    except HubError:
        return
    key = f"{page.slug}/correction/{result.id}"
    with st.expander(say_plainly("Is it right?"), icon=":material/rate_review:"):
        with st.form(key, border=False):
            verdict = st.radio(
                say_plainly("Is it right?"), list(VERDICTS), format_func=lambda one: say(VERDICTS[one]), index=None,
                horizontal=True, label_visibility="collapsed",
            )  # fmt: skip
            right = {part.name: _editor(part, f"{key}/{part.name}") for part in subject.blank.parts}
            note = st.text_area(say_plainly("Note (optional)"), max_chars=NOTE_CHARS, height=80)
            words = "The picture may be kept with it, for whoever runs this hub to improve the model"
            keeps = subject.pictured and st.checkbox(say_plainly(words))
            sent = st.form_submit_button(say_plainly("Send"), icon=":material/send:")
        if sent:
            given = {name: picture.data for name, picture in values.pictures.items()}
            said = Said(verdict, {n: v for n, v in right.items() if v is not None}, note, bool(keeps))
            try:
                corrections.correct(result.id, said, who(host.hub), given if keeps else None)
            except HubError as error:
                st.error(say_plainly(error.message), icon=":material/error:")
            else:
                st.success(say_plainly("Thank you."), icon=":material/check:")


def _editor(part: Part, key: str) -> Any:
    """What is right of one part, in the form that corrections have."""
    label = say_plainly(part.label)
    if part.kind == "class":
        return st.selectbox(label, part.options, index=None, format_func=say, key=key)
    if part.kind == "tags":
        return st.multiselect(label, part.options, default=part.answer, format_func=say, key=key)
    if part.kind == "number":
        return st.number_input(label, value=part.answer, key=key)
    if part.kind == "text":
        return st.text_area(label, part.answer, height=80, key=key)
    st.caption(label)
    if part.kind == "boxes":
        rows = st.data_editor(part.answer, num_rows="dynamic", key=key)
        return [row for row in rows if row.get("label")]
    if part.kind == "points":
        points = [{"name": name, "x": at[0], "y": at[1]} for name, at in part.answer.items()]
        rows = st.data_editor(points, disabled=["name"], key=key)
        return {row["name"]: None if None in (row["x"], row["y"]) else [row["x"], row["y"]] for row in rows}
    rows = st.data_editor([{"name": n, "value": v} for n, v in zip(part.rows, part.answer, strict=True)],
                          disabled=["name"], key=key)  # fmt: skip
    return [row["value"] for row in rows]
