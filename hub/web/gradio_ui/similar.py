"""The row of similar pictures below a page's outputs. It is filled after the answer, by an event of its own."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache
from markupsafe import Markup

from hub.archive.similar import Match
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.headlines import headline_without
from hub.pages.registry import Page
from hub.people.owners import Owner
from hub.results.result import Result
from hub.spec import Boxes, Demo, ImageOutput, Labels, TextOutput
from hub.texts import say
from hub.web.middleware import guard
from hub.web.parts import html, wording
from hub.web.parts.pieces import piece

TILES = 6  # pictures in the row
LEAST = 0.4  # cosine; unlike pictures are not shown: ordinary and emergency vehicles are below 0.3 of each other
PATIENCE_S, TICK_S = 15.0, 0.5  # the examples may need a moment after the first answer
TABS = 4096  # open pages whose last result is remembered
AGO = ((86_400, "{number} days ago"), (3600, "{number} h ago"), (60, "{number} min ago"))
# `select` and not `click`, which is an example's.
RESULT_SELECT = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-result]');
  if (button) trigger('select', {result: button.dataset.result});
});"""


class Row:
    """One page's row; draws nothing where the page finds no similar pictures."""

    def __init__(self, hub: Hub, page: Page):
        self.hub, self.page = hub, page
        self.wanted = hub.similar.keeps(page.declared)
        self.tiles: gr.HTML | None = None
        self._last: LRUCache[str, str] = LRUCache(TABS)  # result id by open page; touched in the event loop only

    def build(self, receipt: gr.HTML, js_on_load: str) -> None:
        """Draws the empty row here; it follows each new value of `receipt`, which every finished run sets."""
        if not self.wanted:
            return
        self.tiles = gr.HTML("", apply_default_css=False, js_on_load=js_on_load + RESULT_SELECT)
        result_box = gr.HTML("", apply_default_css=False)
        options: dict[str, Any] = {"show_progress": "hidden", "concurrency_limit": None, "api_visibility": "private"}
        receipt.change(self.fill, outputs=[self.tiles, result_box], trigger_mode="multiple", **options)
        self.tiles.select(self.open, outputs=result_box, **options)

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        if self.wanted and request.session_hash:
            self._last[request.session_hash] = result.id

    async def fill(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """What is similar now; and again while examples are still being compared, until the page shows another."""
        who = self.hub.owners.of(guard.caller_on_page(request))
        tab, last_row = request.session_hash or "", None
        id, end = self._last.get(tab), time.monotonic() + PATIENCE_S
        while True:
            row, more = await to_thread.run_sync(self._draw, id, who)
            if self._last.get(tab) != id:  # a newer answer has a row of its own
                yield [gr.skip(), gr.skip()]
                return
            if row != last_row:
                yield [row, "" if last_row is None else gr.skip()]
                last_row = row
            if not more or time.monotonic() > end:
                return
            await asyncio.sleep(TICK_S)

    def open(self, event: gr.EventData) -> str:
        """A past result, drawn below the row."""
        id = event._data.get("result") if isinstance(event._data, dict) else None
        result = self.hub.results.get(id) if isinstance(id, str) else None
        if result is None or result.capsule["page"] != self.page.slug:
            return piece("page", "not_kept")
        return draw_result(result, self.page.demo)

    def _draw(self, id: str | None, who: Owner) -> tuple[str, bool]:
        """The row's HTML, and whether more is to come in a moment."""
        result = self.hub.results.get(id) if id else None
        if result is None:
            return "", False
        matches = self.hub.similar.find(result, who, TILES)
        _, more = self.hub.similar.outstanding(result)
        entries = [(match, self._title(match)) for match in matches if match.similarity > LEAST]
        return draw_tiles(entries, self.hub.settings.similar == "everyone"), more

    def _title(self, match: Match) -> str:
        if match.example is not None:
            return say(match.title)
        result = self.hub.results.get(match.id)
        demo = self.page.demo  # what others wrote stays theirs
        answer = wording.answer(headline_without(demo, result, [f.name for f in demo.inputs])) if result else ""
        when = ago(match.created) if match.created is not None else say("earlier")
        return say(", ").join((answer, when)) if answer else when[:1].upper() + when[1:]


def draw_tiles(entries: Sequence[tuple[Match, str]], everyone: bool) -> Markup:
    """(match, title) as tiles, nearest first: an example runs, a past result opens. Empty for none."""
    return piece("page", "similar", entries, wording.AMONG_ALL if everyone else wording.AMONG_OWN)


def draw_result(result: Result, demo: Demo) -> Markup:
    """A stored result as a panel that can be closed: its picture, labels, tables and output pictures."""
    base, values, parts = f"api/v1/results/{result.id}", result.values, list[Markup]()
    for field in kinds.on_page(demo):
        if isinstance(field, ImageOutput) and field.name in result.pictures:
            parts.append(piece("page", "figure", f"{base}/{field.name}", wording.picture_words(field, result)))
        elif isinstance(field, Labels) and field.name in values:
            parts.append(html.panel(field, values[field.name], values.get(field.line)))
        elif isinstance(field, Boxes) and field.name in values:
            parts.append(html.boxes_panel(field, values[field.name], base))
        elif (kinds.is_table(field) or isinstance(field, TextOutput)) and field.name in values:
            parts.append(html.panel(field, values[field.name]))
    return piece("page", "opened", base, ago(result.created), parts)


def ago(created: float, now: float | None = None) -> str:
    """`just now`, `3 min ago`, `2 h ago`, `5 days ago`: no time zone needed."""
    seconds = max(0.0, (time.time() if now is None else now) - created)
    for size, text in AGO:
        if seconds >= size:
            number = int(seconds // size)
            return say("{number} day ago" if (size, number) == (86_400, 1) else text, number=number)
    return say("just now")
