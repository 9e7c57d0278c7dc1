"""Declared outputs and receipts in Streamlit's own elements; files to download are the hub's own bytes."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import streamlit as st
from cachetools import LRUCache

from hub.decoding import budget
from hub.errors import BusyError
from hub.images import encode
from hub.results import plots
from hub.results.headline import headline
from hub.results.result import Picture, Receipt, Result
from hub.spec import (
    AudioOutput,
    Boxes,
    Demo,
    Gallery,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Output,
    Plot,
    TextOutput,
    VideoOutput,
)
from hub.texts import say
from hub.web.parts import html, wording
from hub.web.parts.wording import answer
from hub.web.streamlit_ui.boxes import show_boxes
from hub.web.streamlit_ui.inputs import Given
from hub.web.streamlit_ui.text import escape_markdown, say_plainly

BAR_PX = 30  # height of one label's bar, with the gap
COMPACT_FROM = 7  # as many labels or more are drawn closer
NAME_PX = 190  # room for a label's name
WIDTH = 122  # of a chart in percent: the numbers stand beside the bars
INK = {"light": ("#1e293b", "#0f766e"), "dark": ("#e9eef5", "#2dd4bf")}  # words and strong bars, by theme
PALE, LINE = "#94a3b8", "#f59e0b"
WIDEST_PX = 1460  # as wide as Streamlit shows any picture
_SMALLER_LOCK = threading.Lock()  # guards _SHOWN; taken alone
_SMALLER: LRUCache[str, bytes] = LRUCache(32 * 2**20, getsizeof=len)
STAGES = ("queue", "load", "prepare", "infer", "present")


def show(demo: Demo, result: Result, before: Mapping[str, Given]) -> None:
    """All outputs in declared order, each with its download; `before` holds the picture inputs."""
    lines = {f.line for f in demo.outputs if isinstance(f, Labels)}
    values = result.values
    for field in demo.outputs:
        if field.name in lines or (field.name not in values and field.name not in result.pictures):
            continue  # the number that another output draws as a line; an optional output that is not there
        folded = isinstance(field, Labels | Json | TextOutput) and field.folded
        with st.expander(f"**{say_plainly(field.label)}**") if folded else st.container(border=True):
            if not folded:
                st.markdown(f"**{say_plainly(field.label)}**")
            compared = isinstance(field, ImageOutput) and field.compare  # its help is about Gradio's slider
            if field.help and not compared:
                st.caption(say_plainly(field.help))
            _show_output(demo, field, result, values, before)
    slug = result.capsule["page"]
    document = {"id": result.id, "demo": slug, "outputs": values, "receipt": asdict(result.receipt)}
    text = json.dumps(document, indent=2, ensure_ascii=False)
    st.download_button(
        say_plainly("Result as JSON"), text, f"{slug}-{result.id[:12]}.json", "application/json", on_click="ignore",
        icon=":material/data_object:", key=f"{result.id}/json",
    )  # fmt: skip


def _show_output(
    demo: Demo, field: Output, result: Result, values: Mapping[str, Any], before: Mapping[str, Given]
) -> None:
    if isinstance(field, Labels):
        labels(values[field.name], field.top, values.get(field.line))
    elif isinstance(field, Json) and field.chips and values[field.name]:
        st.html(html.chips(values[field.name]))
    elif isinstance(field, Json) and field.table:
        rows = [{name: v for name, v in row.items() if name not in field.unseen} for row in values[field.name]]
        table(rows)
    elif isinstance(field, Json):
        value(values[field.name])
    elif isinstance(field, TextOutput):
        st.html(html.text(values[field.name], field.markdown))
    elif isinstance(field, Boxes):
        show_boxes(result, field, values[field.name])
    elif isinstance(field, VideoOutput | AudioOutput):
        played(result, field)
    elif isinstance(field, Plot):
        plot(result, field, values[field.name])
    elif isinstance(field, Mask):
        picture = result.pictures[field.name][0]
        size = {"width": picture.width, "height": picture.height}
        st.caption(say_plainly("PNG, {width} × {height} px, one byte a pixel", **size))
        download(result, field.name, 0, picture)
    elif isinstance(field, Gallery):
        gallery(result, field.name)
    elif isinstance(field, ImageOutput):
        image(demo, field, result, before)


def played(result: Result, field: VideoOutput | AudioOutput) -> None:
    """A video or a sound that plays, with its download."""
    file = result.pictures[field.name][1]
    show_file = st.video if isinstance(field, VideoOutput) else st.audio
    show_file(file.data, format=file.media_type)
    download(result, field.name, 1, file)


def plot(result: Result, field: Plot, data: Mapping[str, Any]) -> None:
    """The drawing for this theme, the numbers, and both to download."""
    number = 1 if st.context.theme.type == "dark" else 0
    picture, looks = result.pictures[field.name][number], plots.Looks.of(field)
    st.image(picture.data, width="stretch", alt=say(field.label))
    with st.expander(say_plainly("All numbers as a table")):
        st.dataframe({say(looks.x or "x"): data["x"], **{say(name): points for name, points in data["series"].items()}})
    with st.container(horizontal=True):
        download(result, field.name, number, picture)
        st.download_button(
            say_plainly("Download as CSV"), plots.to_csv(data, looks), f"{result.id[:12]}-{field.name}.csv", "text/csv",
            on_click="ignore", icon=":material/table:", key=f"{result.id}/{field.name}/csv",
        )  # fmt: skip


def image(demo: Demo, field: ImageOutput, result: Result, before: Mapping[str, Given]) -> None:
    """One picture; beside the input it is compared with, where it names one."""
    picture = result.pictures[field.name][0]
    first = before.get(field.compare)
    place: Any = st.container()
    if first is not None and first.preview:
        label = next(f.label for f in demo.inputs if isinstance(f, ImageInput) and f.name == field.compare)
        place, beside = st.tabs([say_plainly(field.label), say_plainly(label)])
        beside.image(first.preview, width="stretch", alt=first.title)
    with place:
        _show_picture(result, field.name, 0, say(field.label))
    download(result, field.name, 0, picture)


def gallery(result: Result, name: str) -> None:
    """Pictures side by side, as many as fit, each with its caption and download."""
    with st.container(horizontal=True):
        for number, picture in enumerate(result.pictures[name]):
            with st.container(width=220):
                _show_picture(result, name, number)
                download(result, name, number, picture)


def _show_picture(result: Result, name: str, number: int, alt: str = "") -> None:
    """A picture with its caption; `alt` describes one that has none."""
    caption = answer(result.pictures[name][number].caption)
    try:
        data = _shrink_picture(result, name, number)
    except BusyError as error:
        st.warning(say_plainly(error.message), icon=":material/hourglass:")  # the download below has it
        return
    st.image(data, caption=escape_markdown(caption) or None, width="stretch", alt=caption or alt)


def _shrink_picture(result: Result, name: str, number: int) -> bytes:
    """A result's picture as wide as a page shows it, made once. Raises BusyError.

    Streamlit decodes and shrinks by itself what is wider, at each click and outside the budget.
    """
    picture, key = result.pictures[name][number], f"{result.id}/{name}/{number}"
    if picture.width <= WIDEST_PX:
        return picture.data
    with _SMALLER_LOCK:
        data = _SMALLER.get(key)
    if data is None:
        with budget.opened(picture.data) as image:
            small = image.resize((WIDEST_PX, max(1, round(image.height * WIDEST_PX / image.width))), reducing_gap=2.0)
            data = encode(small, "jpeg" if picture.media_type == "image/jpeg" else "png")
        with _SMALLER_LOCK:
            _SMALLER[key] = data
    return data


def download(result: Result, name: str, number: int, picture: Picture) -> None:
    """The file as the hub keeps it, byte for byte."""
    suffix = f"-{number}" if number else ""
    st.download_button(
        say_plainly("Download"), picture.data, f"{name}{suffix}.{picture.extension}", picture.media_type,
        on_click="ignore", icon=":material/download:", key=f"{result.id}/{name}/{number}",
    )  # fmt: skip


def value(data: Any) -> None:
    """JSON data: a number large, a text as it is, the rest as a tree."""
    if isinstance(data, dict | list):
        st.json(data)
    elif isinstance(data, int | float) and not isinstance(data, bool):
        st.metric("Value", f"{data:g}", label_visibility="collapsed")
    else:
        st.text("" if data is None else str(data))


def table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Flat dicts; `colour` becomes a swatch, a column ending in `percent` a bar; rows not `shown` are pale."""
    if not rows:
        st.caption(say_plainly("Nothing to list."))
        return
    import pandas as pd  # type: ignore[import-untyped]  # it has no types of its own

    frame = pd.DataFrame([{n: say(v) if isinstance(v, str) else v for n, v in row.items()} for row in rows])
    columns: dict[str, Any] = {name: st.column_config.Column(wording.heading(name)) for name in frame}
    for name in frame:
        if str(name).endswith("percent"):
            columns[str(name)] = st.column_config.ProgressColumn(
                wording.heading(str(name)), format="%.1f", min_value=0, max_value=100
            )
    style = frame.style.format(dict.fromkeys(frame.select_dtypes("float"), "{:g}"))
    if "colour" in frame:
        columns["colour"] = st.column_config.TextColumn("", width=24, help=say_plainly("Colour in the picture"))
        style = style.map(lambda colour: f"background-color: {colour}; color: {colour}", subset=["colour"])
    if "shown" in frame:
        style = style.apply(
            lambda row: ["" if row["shown"] or name == "colour" else f"color: {PALE}" for name in row.index], axis=1
        )
    st.dataframe(style, hide_index=True, column_config=columns, height="content")


def labels(values: Mapping[str, float], top: int, line: float | None) -> None:
    """Probabilities as bars, the highest first; `line`, in [0, 1], is drawn through all bars."""
    import altair as alt

    top_labels = list(values.items())[:top]
    rows = [
        {
            "label": say(name),
            "percent": 100 * share,
            "text": wording.percent(share),
            "strong": number == 0 if line is None else share >= line,
        }
        for number, (name, share) in enumerate(top_labels)
    ]
    if line is not None:
        above = sum(share >= line for share in values.values())
        st.caption(escape_markdown(wording.above_line(above, len(values), line)))
    step = BAR_PX if len(top_labels) < COMPACT_FROM else 0.75 * BAR_PX
    words, strong = INK["dark" if st.context.theme.type == "dark" else "light"]
    across = alt.X("percent:Q", scale=alt.Scale(domain=[0, WIDTH]), axis=None)
    down = alt.Y("label:N", sort=None, title=None, axis=alt.Axis(labelLimit=NAME_PX, ticks=False, domain=False))
    base = alt.Chart(alt.InlineData(rows)).encode(y=down)
    bars = base.mark_bar(cornerRadius=3, height={"band": 0.62}).encode(
        across, color=alt.condition("datum.strong", alt.value(strong), alt.value(PALE)),
        tooltip=[alt.Tooltip("label:N"), alt.Tooltip("percent:Q", format=".2f", title="%")],
    )  # fmt: skip
    layers: list[Any] = [bars, base.mark_text(align="right", color=words).encode(alt.XDatum(WIDTH), text="text:N")]
    if line is not None:
        mark = alt.Chart(alt.InlineData([{"at": 100 * line}]))
        layers.append(mark.mark_rule(strokeDash=[4, 3], color=LINE, strokeWidth=2).encode(x="at:Q"))
    description = say(", ").join(f"{say(name)} {wording.percent(share)}" for name, share in top_labels)
    st.altair_chart(alt.layer(*layers).properties(height=alt.Step(step)), width="stretch", alt=description)


def answer_words(demo: Demo, result: Result) -> None:
    """The answer in a few words."""
    words = answer(headline(demo, result)) or say("Done")
    st.success(f"**{escape_markdown(words[:1].upper() + words[1:])}**")


def receipt(paid: Receipt, id: str, seed: int | None) -> None:
    """What the result cost, stage by stage, and what it was made with; above it the remarks."""
    for remark in paid.remarks:
        st.warning(escape_markdown(say(remark)), icon=":material/info:")
    with st.expander(say_plainly("Receipt"), icon=":material/receipt_long:"):
        took = say("Done in {time}", time=wording.duration(paid.total_ms))
        st.markdown(escape_markdown(f"{took} · {wording.how(paid)}"))
        with st.container(horizontal=True):
            for stage in STAGES:
                st.metric(say_plainly(stage.capitalize()), wording.duration(getattr(paid, f"{stage}_ms")), width=110)
        facts = [
            f"{escape_markdown(name)}{say(': ')}**{escape_markdown(text)}**"
            for name, text in wording.facts(paid, id, seed)
        ]
        st.markdown("  \n".join(facts))
        if paid.cached:
            st.caption(say_plainly(wording.AGAIN))
