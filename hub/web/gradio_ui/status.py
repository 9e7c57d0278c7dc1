"""The status page: what is in memory, since when, for whom, who would leave next; and buttons for who may."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Any

import gradio as gr
from anyio import to_thread
from markupsafe import Markup
from rich.filesize import decimal

from hub.errors import ForbiddenError, HubError
from hub.execution.models import Resident
from hub.hub import Hub
from hub.texts import say, sentence
from hub.web.api import health
from hub.web.gradio_ui import blocks as blocks_ui
from hub.web.gradio_ui.similar import ago
from hub.web.middleware import access, guard
from hub.web.parts import corrections, html
from hub.web.parts.pieces import piece

EVERY_S = 2.0  # how often an open page looks
CLICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-action]');
  if (button) trigger('click', {...button.dataset});
});"""
HERE, AWAY = ("Size", "Loaded", "In use by", "Leaves"), ("Size", "State")
DONE = {
    "load": "{name} is in memory.",
    "pin": "{name} stays in memory.",
    "unpin": "{name} may leave again.",
    "unload": "{name} has left memory.",
}


def build(blocks: gr.Blocks, hub: Hub) -> None:
    """Draws the page here, and keeps it up to date while somebody looks."""
    view = _View(hub)
    options: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
    blocks_ui.draw(partial(piece, "status", "head"))
    outcome = gr.HTML("", apply_default_css=False)
    last_board = gr.State("")
    board = gr.HTML("", apply_default_css=False, js_on_load=CLICK)
    blocks.load(view.draw_board, outputs=[board, last_board], **options)
    gr.Timer(EVERY_S).tick(view.redraw_board, inputs=last_board, outputs=[board, last_board], **options)
    changed = board.click(view.change, outputs=outcome, concurrency_limit=None, **(options | {"queue": True}))
    changed.then(view.draw_board, outputs=[board, last_board], **options)


class _View:
    """The page's events over one hub."""

    def __init__(self, hub: Hub):
        self.hub = hub

    def refusal(self, request: gr.Request) -> str:
        who = guard.caller(request.request)
        return access.refusal(self.hub.settings, who.address, request.headers, who.role)

    async def draw_board(self, request: gr.Request) -> list[Any]:
        board = await self._board(request)
        return [board, board]

    async def redraw_board(self, request: gr.Request, last_board: str) -> list[Any]:
        """Only what changed is sent, so that a focused button keeps its focus."""
        board = await self._board(request)
        return [gr.skip(), gr.skip()] if board == last_board else [board, board]

    async def _board(self, request: gr.Request) -> str:
        refused = self.refusal(request)
        # The page itself is closed to them.
        if self.hub.settings.asks and not guard.caller(request.request).is_admin:
            return html.error(ForbiddenError(refused))
        return await to_thread.run_sync(partial(self._draw, refused))

    async def change(self, event: gr.EventData, request: gr.Request) -> str:
        """One button: what came of it, in a sentence."""
        action_data = event._data if isinstance(event._data, dict) else {}
        demo, weights, action = (str(action_data.get(name, ""))[:200] for name in ("demo", "weights", "action"))
        try:
            if why := self.refusal(request):
                raise ForbiddenError("You may not change what is in memory. {why}", why=sentence(why))
            begin = time.perf_counter()
            now = await to_thread.run_sync(self.hub.change_model, demo, weights, action)
        except HubError as problem:
            return html.error(problem)
        name = f"{say(now.title)} ({now.weights})" if now.weights else say(now.title)
        seconds = f"{time.perf_counter() - begin:.1f}"
        took = say(" It took {seconds} s.", seconds=seconds) if action == "load" else ""
        return piece("status", "changed", say(DONE[action], name=name), took)

    def _draw(self, refused: str) -> str:
        machine, state = self.hub.models.machine(), self.hub.models.state()
        residents = self.hub.models.residents()
        here = [one for one in residents if one.state in ("ready", "loading")]
        away = [one for one in residents if one not in here]
        used, budget = state.used_bytes, machine.budget_bytes
        results = self.hub.results.stats()
        limit = self.hub.settings.queue_limit
        tiles = [
            (say("Device"), machine.device, machine.dtype),
            (say("Models"), decimal(used), say("of at most {most}", most=decimal(budget))),
            (say("Whole hub"), decimal(round(health.memory_bytes(self.hub), -7)), ""),
            (say("In work"), _runs(self.hub.engine.in_work), say("of at most {most}", most=limit)),
            (
                say("Results"),
                results["memory_results"],
                say("{size} in memory", size=decimal(results["memory_bytes"])),
            ),
        ]
        pieces = [(f"{100 * one.bytes / budget:.3f}", f"{say(one.title)}: {decimal(one.bytes)}") for one in here]
        used_by_models = sum(one.bytes for one in here)
        text = say("Models take {used} of {budget}", used=decimal(used_by_models), budget=decimal(budget))
        several = {title for title, count in Counter(one.title for one in residents).items() if count > 1}
        tables = (
            _draw_table("In memory", HERE, here, several, "Nothing is loaded yet.", not refused),
            _draw_table("Not in memory", AWAY, away, several, "Everything is loaded.", not refused),
        )
        titles = {page.slug: say(page.title) for page in self.hub.visible}
        corrected = corrections.accuracies(self.hub.corrections.store.counts(), titles)
        replicas = [
            (one.replica, one.node, one.in_work, one.loaded, decimal(one.bytes))
            for one in self.hub.models.processes()
            if one.replica
        ]
        notices = health.warnings(self.hub)
        return piece("status", "board", notices, tiles, pieces, text, *tables, refused, corrected, replicas)


def _draw_table(
    title: str, headings: tuple[str, ...], entries: list[Resident], several: Collection[str], empty: str, may: bool
) -> Markup:
    """`several`: titles of pages with more than one set of weights, which their names tell apart."""
    rows = [(one, _cells(one), _actions(one), one.title in several) for one in entries]
    return piece("status", "table", title, headings, rows, empty, may)


def _runs(count: int) -> str:
    return say("{count} run" if count == 1 else "{count} runs", count=count)


def _cells(one: Resident) -> dict[str, str]:
    """What the table says of one model, by heading."""
    ready = one.state == "ready"
    since = ago(time.time() - one.loaded_for_s) if ready else ""
    users = say("nobody") if ready else ""
    if one.leases:
        users = _runs(one.leases)
    turn = {0: "", 1: "next"}.get(one.leaves, f"{one.leaves}.")
    turn = "pinned" if one.pinned else "after its run" if ready and one.leases else turn
    size = say("{size} of files", size=decimal(one.bytes)) if one.bytes else ""
    if one.measured:
        size = decimal(one.bytes) if ready else say("{size} in memory", size=decimal(one.bytes))
    size = f"{size}, {one.backend}" if one.backend else size
    state = {"loading": "being loaded", "missing": one.reason, "absent": "loads on first use"}.get(one.state, "")
    state = say(state)
    return {"Size": size, "Loaded": since or state, "State": state, "In use by": users, "Leaves": say(turn)}


def _actions(one: Resident) -> tuple[str, ...]:
    return {"ready": ("unpin" if one.pinned else "pin", "unload"), "absent": ("load", "pin")}.get(one.state, ())
