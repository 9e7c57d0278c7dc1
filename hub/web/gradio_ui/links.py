"""Share, below a page's receipt: a small panel that makes a link to the result on the page."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread
from cachetools import LRUCache
from markupsafe import Markup

from hub.archive.links import Link
from hub.errors import ForbiddenError, HubError, NotFoundError
from hub.hub import Hub
from hub.pages.kinds import private_inputs
from hub.pages.registry import Page
from hub.people.owners import Owner
from hub.people.terms import NOTE_CHARS
from hub.results.result import Result
from hub.spec import ImageInput
from hub.web import drawers
from hub.web.gradio_ui import blocks
from hub.web.middleware import addresses, guard
from hub.web.parts import html
from hub.web.parts.pieces import piece
from hub.web.parts.wording import link_facts, link_title

TABS = 4096  # open pages whose last result is remembered
LISTED = 20  # own links on the page
ENDS = [("never", 0), ("in a day", 1), ("in a week", 7), ("in 30 days", 30), ("in a year", 365)]
# The browser knows best where the hub is, unless the operator said so (`data-path` is there only if not). Without
# a secure context there is no clipboard: then the text is selected, to be copied by hand or the old way.
CLICKS = """const complete = () => element.querySelectorAll('input[data-path]').forEach((field) => {
  field.value = new URL(field.dataset.path, location.href).href;
});
new MutationObserver(complete).observe(element, {childList: true, subtree: true});
element.addEventListener('click', async (event) => {
  const ended = event.target.closest('button[data-end]');
  if (ended) trigger('select', {end: ended.dataset.end});
  const copy = event.target.closest('button[data-copy]');
  if (!copy) return;
  const field = element.querySelector('.hub-link input');
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { document.execCommand('copy'); }
  copy.textContent = copy.dataset.done;
});"""


class Share:
    """One page's Share button and panel; draws nothing where links are switched off."""

    def __init__(self, hub: Hub, page: Page):
        self.hub, self.page = hub, page
        self.wanted = hub.sharing.enabled
        self.private = private_inputs(page.demo)
        self.pictures = [f.name for f in page.demo.inputs if isinstance(f, ImageInput)]
        self._last: LRUCache[str, str] = LRUCache(TABS)  # result id by open page; touched in the event loop only

    def build(self, receipt: gr.HTML, inputs: list[Any]) -> None:
        """Draws the button, hidden until there is a result: each new value of `receipt` is one."""
        if not self.wanted:
            return
        button = gr.Button("Share this result", size="sm", visible=False, elem_classes="hub-share-button")
        with gr.Column(visible=False, elem_classes="hub-panel hub-share") as panel:
            blocks.draw(partial(piece, "page", "heading", "Share this result"))
            note = gr.Textbox(label="Note", info="Shown above the result; may stay empty", max_lines=3, lines=2,
                              max_length=NOTE_CHARS)  # fmt: skip
            with gr.Row():
                ends = gr.Dropdown(ENDS, value=0, label="The link ends", min_width=140)
                words = "Include what I put in" if len(self.private) != 1 else "Include my picture"
                include = gr.Checkbox(
                    True, label=words, min_width=200, visible=bool(self.private),
                    info="Output pictures that were drawn over it show it anyway",
                )  # fmt: skip
            make = gr.Button("Make the link", variant="primary")
            link_box = gr.HTML("", apply_default_css=False, js_on_load=CLICKS)
        options: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        receipt.change(self.offer, outputs=[button, panel, link_box], **options)
        button.click(self.open, outputs=[panel, link_box], **options)
        pictures = [c for c, f in zip(inputs, self.page.demo.inputs, strict=False) if f.name in self.pictures]
        make.click(self.make, inputs=[note, ends, include, *pictures], outputs=link_box, **options)
        link_box.select(self.end, outputs=link_box, **options)

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        if request.session_hash:
            self._last[request.session_hash] = result.id

    # --- events -----------------------------------------------------------------------------------

    def offer(self) -> list[Any]:
        """There is a result, so it can be shared; a link on the page is of the one before."""
        return [gr.update(visible=True), gr.update(visible=False), ""]

    async def open(self, request: gr.Request) -> list[Any]:
        return [gr.update(visible=True), await to_thread.run_sync(self._draw_links, request)]

    async def make(self, request: gr.Request, note: str, ends: int, include: bool, *pictures: Any) -> str:
        """Makes the link, and shows it with all others of this browser and page."""
        id = self._last.get(request.session_hash or "")
        make = partial(
            self._make, request, id or "", note, ends, include, dict(zip(self.pictures, pictures, strict=True))
        )
        return await drawers.draw(guard.caller(request.request), make)

    def _make(
        self,
        request: gr.Request,
        id: str,
        note: str,
        ends: int,
        include: bool,
        pictures: dict[str, Path | bytes | None],
    ) -> str:
        picture_bytes = {n: p.read_bytes() if isinstance(p, Path) else p for n, p in pictures.items() if p is not None}
        try:
            if not id:
                raise NotFoundError("There is no result on this page yet. Run it, then share.")
            link, _ = self.hub.sharing.share(
                id,
                who=self._who(request),
                note=note,
                days=ends or None,
                leave_out=() if include else self.private,
                given=picture_bytes,
            )
        except HubError as error:
            return html.error(error)
        return self._draw_link(request, link) + self._draw_links(request, without=link.id)

    async def end(self, request: gr.Request, event: gr.EventData) -> str:
        """Takes a link back, if this browser made it."""
        id = event._data.get("end") if isinstance(event._data, dict) else None
        return await to_thread.run_sync(self._end, request, id if isinstance(id, str) else "")

    def _end(self, request: gr.Request, id: str) -> str:
        try:
            if not self.hub.sharing.links.owns(id, owners=self._who(request).ids):
                raise ForbiddenError("Only the browser that made this link can take it back.")
            self.hub.sharing.links.revoke(id)
        except HubError as error:
            return html.error(error) + self._draw_links(request)
        return self._draw_links(request)

    def _who(self, request: gr.Request) -> Owner:
        return self.hub.owners.of(guard.caller_on_page(request))

    # --- drawing ----------------------------------------------------------------------------------

    def _draw_link(self, request: gr.Request, link: Link) -> Markup:
        url = addresses.link(self.hub.settings, request.request, link.id)
        return piece("page", "link", link.id, url, bool(self.hub.settings.public_url))

    def _draw_links(self, request: gr.Request, without: str = "") -> Markup:
        """Live links of this browser to results of this page."""
        links, owners = self.hub.sharing.links, self._who(request).ids
        try:
            own = links.all(owners, self.page.slug, LISTED) if owners else []
        except HubError as error:
            return html.error(error)
        now = links.clock()
        live = [link for link in own if link.state(now) == "live" and link.id != without]
        return piece("page", "links", [(link.id, link_title(link), link_facts(link)) for link in live])
