"""Under an answer: whether it is right, and what is."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache

from hub.archive.corrections.corrections import Said
from hub.archive.corrections.store import Correction
from hub.errors import HubError, InputError, NotFoundError
from hub.files import parse_json
from hub.hub import Hub
from hub.pages.registry import Page
from hub.people.owners import Owner
from hub.results.result import Result
from hub.spec import ImageInput
from hub.web import drawers
from hub.web.api.bodies import WISHES_BYTES
from hub.web.api.corrections import WISHES, said_of
from hub.web.gradio_ui.links import TABS
from hub.web.middleware import guard
from hub.web.parts import corrections as drawn
from hub.web.parts import html
from hub.web.parts.pieces import script

SENDS = """
tendCorrections(element, (form, correction, event) => {
  event.preventDefault();
  const told = new FormData(form), keeps = told.get('keep') === 'on';
  const said = {verdict: told.get('verdict'), correction, note: told.get('note'), keep_picture: keeps};
  const button = form.querySelector('.hub-send');
  button.disabled = true;
  setTimeout(() => { button.disabled = false; }, 2000);
  trigger('click', {said: JSON.stringify(said)});
});
element.addEventListener('click', (event) => {
  if (event.target.closest('[data-again]')) trigger('click', {});
});"""


class Correct:
    """One page's form under its answer."""

    def __init__(self, hub: Hub, page: Page):
        self.hub, self.page = hub, page
        self.wanted = hub.corrections.enabled
        self.pictures = [f.name for f in page.demo.inputs if isinstance(f, ImageInput)]
        self._last: LRUCache[str, str] = LRUCache(TABS)  # result by open page; touched in the event loop only
        self.places: list[Any] = []  # what changes with each result

    def build(self) -> list[gr.HTML]:
        """Draws the form's place, which is empty until there is a result, and that of what went wrong."""
        js = "".join(str(script(f"files/{name}.js")) for name in ("places", "corrections")) + SENDS
        place = gr.HTML("", apply_default_css=False, js_on_load=js, elem_classes="hub-correction-place")
        places = [place, gr.HTML("", apply_default_css=False)]
        self.places = places if self.wanted else []
        return places

    def connect(self, places: list[gr.HTML], inputs: list[Any]) -> None:
        """`inputs` are the page's."""
        if not self.wanted:
            return
        options: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        pictures = [c for c, f in zip(inputs, self.page.demo.inputs, strict=False) if f.name in self.pictures]
        places[0].click(self.say, inputs=pictures, outputs=places, **options)

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        if request.session_hash:
            self._last[request.session_hash] = result.id

    def draw_beside(self, request: gr.Request, result: Result) -> list[Any]:
        """The form for a result, for `places`."""
        return [self._draw(self._who(request), result.id), ""] if self.wanted else []

    async def say(self, request: gr.Request, event: gr.EventData, *pictures: Any) -> list[Any]:
        """Keeps what is said; or draws the form again, to say something else."""
        data = event._data if isinstance(event._data, dict) else {}
        id, who = self._last.get(request.session_hash or "", ""), self._who(request)
        if "said" not in data:
            return [await to_thread.run_sync(self._draw, who, id, True), ""]
        work = partial(self._keep, who, id, data["said"], dict(zip(self.pictures, pictures, strict=True)))
        try:
            kept = await drawers.draw(guard.caller(request.request), work)
        except HubError as error:
            return [gr.skip(), html.error(error)]
        return [drawn.draw_kept(kept), ""]

    def _keep(self, who: Owner, id: str, said: Any, pictures: dict[str, Path | bytes | None]) -> Correction:
        if not id:
            raise NotFoundError("There is no result on this page yet. Run it first.")
        wish = read_said(said)
        given = {n: p.read_bytes() if isinstance(p, Path) else p for n, p in pictures.items() if p is not None}
        return self.hub.corrections.correct(id, wish, who, given if wish.keeps else None)

    def _draw(self, who: Owner, id: str, anew: bool = False) -> str:
        try:
            subject = self.hub.corrections.subject(id, who)
            said = None if anew or who.weak else self.hub.corrections.store.last_of(id, who.id)
        except HubError:
            return ""  # it is not kept any more, or another's: nothing is to be said of it
        return drawn.draw_kept(said) if said else drawn.draw_form(subject)

    def _who(self, request: gr.Request) -> Owner:
        return self.hub.owners.of(guard.caller_on_page(request))


def read_said(text: Any) -> Said:
    """What a page's script sends, as REST has it. Raises InputError."""
    try:
        body = parse_json(text) if isinstance(text, str) and len(text) <= WISHES_BYTES else None
    except ValueError:
        body = None
    if not isinstance(body, dict) or {*body} - {*WISHES}:
        raise InputError("What the page sent cannot be read. Load it again.")
    return said_of(body)
