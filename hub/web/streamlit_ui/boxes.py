"""Boxes in Streamlit: drawn anew below a slider for the least score, over what is kept; no model runs again."""

from __future__ import annotations

import json
import threading

import streamlit as st
from cachetools import LRUCache

from hub.engine.drawn import draw_again
from hub.errors import BusyError
from hub.results import boxes
from hub.results.result import Picture, Result
from hub.spec import Boxes
from hub.texts import say
from hub.web.parts import wording
from hub.web.streamlit_ui.text import say_plainly

_LOCK = threading.Lock()  # guards _DRAWN; taken alone
_DRAWN: LRUCache[str, Picture] = LRUCache(32 * 2**20, getsizeof=lambda picture: len(picture.data))


def show_boxes(result: Result, field: Boxes, found: boxes.Found) -> None:
    """The picture, the slider, a table, and files to download."""
    import pandas as pd  # type: ignore[import-untyped]  # it has no types of its own

    key, count, least = f"{result.id}/{field.name}", len(found["boxes"]), 0.0
    if count > 1:
        percent = st.slider(say_plainly("Score at least"), 0, 100, 0, format="%d %%", key=f"{key}/least")
        least = percent / 100
    kept = boxes.surest(found, least)
    try:
        picture = _draw(result, field.name, least)
        words = "The picture with one box" if len(kept["boxes"]) == 1 else "The picture with {count} boxes"
        st.image(picture.data, width="stretch", alt=say(words, count=len(kept["boxes"])))
    except BusyError as error:
        st.warning(say_plainly(error.message), icon=":material/hourglass:")
        return
    if count:
        shown = say_plainly("{shown} of {count} boxes", shown=len(kept["boxes"]), count=count)
        with st.expander(shown, icon=":material/table:"):
            rows = [{**box, "label": say(box["label"]), "score": 100 * box["score"]} for box in kept["boxes"]]
            columns = {name: st.column_config.Column(wording.heading(name)) for name in ("label", *boxes.SIDES)}
            columns["score"] = st.column_config.ProgressColumn(
                wording.heading("score"), format="%.1f %%", min_value=0, max_value=100
            )
            st.dataframe(pd.DataFrame(rows), hide_index=True, column_config=columns)
    with st.container(horizontal=True):
        st.download_button(
            say_plainly("Download"), picture.data, f"{field.name}.{picture.extension}", picture.media_type,
            on_click="ignore", icon=":material/download:", key=f"{key}/picture",
        )  # fmt: skip
        st.download_button(
            say_plainly("Download as COCO"), json.dumps(boxes.to_coco(kept, f"{field.name}.jpg")),
            f"{field.name}-coco.json", "application/json", on_click="ignore", icon=":material/data_object:",
            key=f"{key}/coco",
        )  # fmt: skip


def _draw(result: Result, name: str, least: float) -> Picture:
    """Drawn once for each place of the slider. Raises BusyError."""
    key = f"{result.id}/{name}/{least}"
    with _LOCK:
        picture = _DRAWN.get(key)
    if picture is None:
        picture = draw_again(result, name, least)
        with _LOCK:
            _DRAWN[key] = picture
    return picture
