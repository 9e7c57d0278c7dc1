"""Settings that come back: from a picture that was made here, and from the result on the page, with another seed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache

from hub.errors import HubError
from hub.hub import Hub
from hub.pages.kinds import from_words
from hub.pages.registry import Page
from hub.results import capsules
from hub.results.result import Result
from hub.spec import Gallery, Seed
from hub.texts import sentence
from hub.web.gradio_ui import deep_links, fields
from hub.web.gradio_ui.blocks import draw
from hub.web.parts.filled import WEIGHTS, Filled, fill_values
from hub.web.parts.pieces import marked, piece

LABEL = "Settings from a picture"
TABS = 4096  # open pages whose last result is remembered


class Restore:
    """On a page with a gallery and a seed: a place to drop a picture on, "Run again", "Vary seed", "Keep this seed"."""

    def __init__(self, hub: Hub, page: Page, names: Sequence[str]):
        self.hub, self.page, self.names = hub, page, names
        demo = page.demo
        self.seed = next((f.name for f in demo.inputs if isinstance(f, Seed)), "")
        self.wanted = bool(self.seed) and any(isinstance(f, Gallery) for f in demo.outputs)
        self._last: LRUCache[str, str] = LRUCache(TABS)  # the capsule by open page; touched in the event loop only

    # --- layout -----------------------------------------------------------------------------------

    def build(self, notice: gr.HTML, inputs: Sequence[Any]) -> None:
        """Draws the place to drop a picture on; `notice` says what was done with it."""
        if not self.wanted:
            return
        with gr.Accordion(LABEL, open=False):
            file = fields.FileField(label="A PNG that was made here", file_types=[".png"], type="filepath", height=110)
            with gr.Row(visible=False) as row:
                self._again = gr.Button("Run again", size="sm", min_width=0, elem_classes="hub-action")
                self._vary = gr.Button("Vary seed", size="sm", min_width=0, elem_classes="hub-action")
        file.upload(self.fill_from_picture, inputs=[file], outputs=[notice, row, *inputs], **_QUIET)
        if from_words(self.page.demo):
            place = f"grid?page={quote(self.page.slug)}"
            text = 'Several subjects, styles and seeds at once: <a href="{place}">draw a grid</a>.'
            draw(lambda: piece("page", "help", marked(text, place=place)))

    def build_buttons(self) -> None:
        """Draws what can be done with the result that is shown."""
        if not self.wanted:
            return
        with gr.Row(visible=False) as self._row:
            self._other = gr.Button("Vary seed", size="sm", min_width=0, elem_classes="hub-action")
            self._keep = gr.Button("Keep this seed", size="sm", min_width=0, elem_classes="hub-action")

    def connect(
        self, inputs: Sequence[Any], receipt: gr.HTML, run: Callable[..., Any], options: Mapping[str, Any]
    ) -> None:
        """`run` with `options` is a run of the page; each new value of `receipt` is a result."""
        if not self.wanted:
            return
        seed = inputs[self.names.index(self.seed)]
        receipt.change(lambda: gr.update(visible=True), outputs=self._row, **_QUIET)
        self._again.click(run, **options)
        self._vary.click(lambda: "", outputs=seed, **_QUIET).success(run, **options)
        self._other.click(self.vary_seed, outputs=list(inputs), **_QUIET).success(run, **options)
        self._keep.click(self.keep_seed, outputs=seed, **_QUIET)

    # --- events -----------------------------------------------------------------------------------

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers what the result that an open page shows was made with."""
        if self.wanted and request.session_hash:
            self._last[request.session_hash] = result.capsule_json

    async def fill_from_picture(self, path: Path | None) -> list[Any]:
        if not path:
            return [gr.skip()] * (2 + len(self.names))
        filled = await to_thread.run_sync(settings, self.hub, self.page, path)
        text = deep_links.draw_notice(filled, "this picture")
        buttons = gr.update(visible=bool(filled.values))
        return [gr.update(value=text, visible=bool(text)), buttons, *self._updates(filled)]

    async def vary_seed(self, request: gr.Request) -> list[Any]:
        """The settings of the result that is shown, whatever the fields say by now, without its seed."""
        last, filled = self._last.get(request.session_hash or ""), Filled()
        if last is not None:
            _fill(self.hub, self.page, json.loads(last), filled)
        filled.values[self.seed] = None  # empty: the run draws a new seed, and shows it with its pictures
        return self._updates(filled)

    async def keep_seed(self, request: gr.Request) -> Any:
        last = self._last.get(request.session_hash or "")
        return gr.skip() if last is None else str(json.loads(last)["parameters"][self.seed])

    def _updates(self, filled: Filled) -> list[Any]:
        return deep_links.updates(self.hub, self.page, self.names, filled)


_QUIET: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}


# --- what a capsule asks for ----------------------------------------------------------------------


def settings(hub: Hub, page: Page, path: Path) -> Filled:
    """What a picture's capsule asks for. Never raises a HubError: its text is among the problems."""
    filled = Filled()
    try:
        if path.stat().st_size > hub.limits.max_bytes:
            text = "The file is larger than the {size:g} MB that are read."
            filled.problems.append(sentence(text, size=hub.limits.max_bytes / 2**20))
            return filled
        capsule, number = capsules.read(path.read_bytes())
    except HubError as error:
        filled.problems.append(error.message)
        return filled
    if capsule.get("page") != page.slug:
        filled.problems.append(sentence("It was made on another page: {page}.", page=str(capsule.get("page"))[:40]))
        return filled
    _fill(hub, page, capsule, filled)
    nth = sentence(" It was picture {number} of that run.", number=number + 1) if number else ""
    text = "Filled in as this picture was made.{nth} Run it again, or vary the seed for other pictures."
    filled.notes.append(sentence(text, nth=nth))
    if capsule.get("inputs"):
        filled.notes.append("It began from a picture, which is not in the file: choose that again.")
    _warn(hub, page, capsule, filled)
    return filled


def _fill(hub: Hub, page: Page, capsule: Mapping[str, Any], filled: Filled) -> None:
    parameters = {str(name): [value] for name, value in capsule["parameters"].items()}
    names = [w.name for w in page.demo.weights]
    if len(names) > 1 and capsule.get("weights"):
        parameters[WEIGHTS] = [capsule["weights"]]
    fill_values(hub, page, parameters, filled)


def _warn(hub: Hub, page: Page, capsule: dict[str, Any], filled: Filled) -> None:
    """Adds a note where the same settings may give another picture now."""
    same = capsule.get("version") == page.demo.version
    try:
        name = filled.values.get(WEIGHTS) or (page.demo.weights[0].name if page.demo.weights else "")
        same = same and (not name or hub.weights.find(str(name)).digest == capsule.get("digest"))
    except HubError:
        same = False
    if not same or capsule.get("dtype") != hub.models.machine().dtype:
        filled.notes.append("The page, its weights or their precision differ from then, so the picture may differ.")
