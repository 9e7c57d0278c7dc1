"""What can be done with the answer on a page: share it in one click, download it, copy it as code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
from hub.results.result import PLAYED, Result
from hub.spec import FileInput, Gallery
from hub.web import drawers
from hub.web.middleware import addresses, guard
from hub.web.parts import html, snippets
from hub.web.parts.pieces import piece
from hub.web.parts.wording import link_facts, link_title

TABS = 4096  # open pages whose last result is remembered
LISTED = 20  # own links on the page
ENDS = [("never", 0), ("in a day", 1), ("in a week", 7), ("in 30 days", 30), ("in a year", 365)]
# The browser knows best where the hub is, unless the operator said so (`data-path` is there only if not). Without
# a secure context there is no clipboard: then the text is selected, to be copied by hand or the old way.
CLICKS = """const copy = async (field, button) => {
  const top = window.scrollY;
  field.select();
  try { await navigator.clipboard.writeText(field.value); } catch { if (!document.execCommand('copy')) return; }
  window.scrollTo({top, behavior: 'instant'});
  button.textContent = button.dataset.done;
};
const complete = () => {
  element.querySelectorAll('input[data-path]').forEach((field) => {
    field.value = new URL(field.dataset.path, location.href).href;
  });
  const made = element.querySelector('.hub-link[data-made]');
  if (!made) return;
  made.removeAttribute('data-made');
  copy(made.querySelector('input'), made.querySelector('button'));
};
new MutationObserver(complete).observe(element, {childList: true, subtree: true});
element.addEventListener('click', (event) => {
  const ended = event.target.closest('button[data-end]');
  if (ended) trigger('select', {end: ended.dataset.end});
  const button = event.target.closest('button[data-copy]');
  if (button) copy(element.querySelector('.hub-link input'), button);
});"""
# What is chosen to copy is kept for the next answer, on all pages; a closed frame keeps nothing.
ACTIONS = """const kept = 'hub-code';
const choose = () => {
  const way = element.querySelector('.hub-code select');
  if (!way || way.dataset.chosen) return;
  way.dataset.chosen = '1';
  try {
    const last = localStorage.getItem(kept);
    if ([...way.options].some((option) => option.value === last)) way.value = last;
  } catch {}
};
new MutationObserver(choose).observe(element, {childList: true, subtree: true});
choose();
element.addEventListener('change', (event) => {
  const button = element.querySelector('button[data-code]');
  button.textContent = button.dataset.words || button.textContent;
  try { localStorage.setItem(kept, event.target.value); } catch {}
});
element.addEventListener('click', async (event) => {
  if (event.target.closest('button[data-share]')) trigger('click', {});
  const button = event.target.closest('button[data-code]');
  if (!button) return;
  const way = element.querySelector('.hub-code select').value;
  const field = [...element.querySelectorAll('textarea')].find((one) => one.dataset.way === way);
  try { await navigator.clipboard.writeText(field.value); } catch {
    field.hidden = false;
    field.select();
    if (!document.execCommand('copy')) return;
    field.hidden = true;
  }
  button.dataset.words = button.dataset.words || button.textContent;
  button.textContent = button.dataset.done;
});"""


@dataclass(frozen=True)
class Panel:
    """What of a page's sharing other parts connect: the row of actions, the link, and what can be said of it after."""

    actions: gr.HTML
    link: gr.HTML
    options: gr.Column
    note: gr.Textbox
    ends: gr.Dropdown
    include: gr.Checkbox
    save: gr.Button


class Share:
    """One page's actions beside an answer: share it in one click, download it, copy it as code."""

    def __init__(self, hub: Hub, page: Page):
        self.hub, self.page = hub, page
        self.wanted = hub.sharing.enabled
        self.private = private_inputs(page.demo)
        self.pictures = [f.name for f in page.demo.inputs if isinstance(f, FileInput)]
        # By open page; touched in the event loop only: the result that it shows, and the link that it made of it.
        self._last: LRUCache[str, str] = LRUCache(TABS)
        self._made: LRUCache[str, tuple[str, bool]] = LRUCache(TABS)  # and whether it shows what was put in
        self.places: list[Any] = []  # what changes with each result

    def build(self) -> Panel:
        """Draws the actions, empty until there is a result."""
        actions = gr.HTML("", apply_default_css=False, js_on_load=ACTIONS, elem_classes="hub-actions-place")
        link = gr.HTML("", apply_default_css=False, js_on_load=CLICKS)
        with gr.Column(visible=False, elem_classes="hub-panel hub-share") as options:
            with gr.Row():
                note = gr.Textbox(label="Note", info="Shown above the result; may stay empty", max_lines=3, lines=1,
                                  max_length=NOTE_CHARS, min_width=220)  # fmt: skip
                ends = gr.Dropdown(ENDS, value=0, label="The link ends", min_width=140)
            words = "Include what I put in" if len(self.private) != 1 else "Include my picture"
            include = gr.Checkbox(
                True, label=words, min_width=200, visible=bool(self.private),
                info="Output pictures that were drawn over it show it anyway",
            )  # fmt: skip
            save = gr.Button("Save", size="sm", min_width=120, elem_classes="hub-share-save")
        self.places = [actions, link, options]
        return Panel(actions, link, options, note, ends, include, save)

    def connect(self, panel: Panel, inputs: list[Any]) -> None:
        """`inputs` are the page's."""
        options: dict[str, Any] = {"show_progress": "hidden", "queue": False, "api_visibility": "private"}
        if not self.wanted:
            return
        pictures = [c for c, f in zip(inputs, self.page.demo.inputs, strict=False) if f.name in self.pictures]
        told = [panel.note, panel.ends, panel.include]
        panel.actions.click(self.share, inputs=pictures, outputs=[panel.link, panel.options, *told], **options)
        panel.save.click(self.change, inputs=[*told, *pictures], outputs=panel.link, **options)
        panel.link.select(self.end, outputs=[panel.link, panel.options], **options)

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        if request.session_hash:
            self._last[request.session_hash] = result.id
            self._made.pop(request.session_hash, None)

    # --- events -----------------------------------------------------------------------------------

    def draw_beside(self, request: gr.Request, result: Result) -> list[Any]:
        """What can be done with a result, for `places`; a link that is there is of the one before."""
        return [self._draw_actions(request, result.id), "", gr.update(visible=False)]

    async def share(self, request: gr.Request, *pictures: Any) -> list[Any]:
        """Makes a link to the result that is shown, and shows it with all others of this browser and page."""
        drawn, link = await self._share(request, "", 0, True, pictures)
        return [drawn, gr.update(visible=link is not None), "", 0, True]

    async def change(self, request: gr.Request, note: str, ends: int, include: bool, *pictures: Any) -> str:
        """Other words, another end; where the picture is to be left out, or in again, another link in its place."""
        id, included = self._made.get(request.session_hash or "", ("", True))
        if id and include == included:
            return await to_thread.run_sync(self._change, request, id, note, ends)
        drawn, link = await self._share(request, note, ends, include, pictures)
        if id and link is not None:
            await to_thread.run_sync(self.hub.sharing.links.revoke, id)
            return await to_thread.run_sync(self._draw_made, request, link)
        return drawn

    async def _share(
        self, request: gr.Request, note: str, ends: int, include: bool, pictures: Sequence[Any]
    ) -> tuple[str, Link | None]:
        id = self._last.get(request.session_hash or "", "")
        given = dict(zip(self.pictures, pictures, strict=True))
        make = partial(self._make, request, id, note, ends, include, given)
        try:
            link = await drawers.draw(guard.caller(request.request), make)
        except HubError as error:
            return html.error(error), None
        self._made[request.session_hash or ""] = (link.id, include)
        return await to_thread.run_sync(self._draw_made, request, link), link

    def _make(
        self,
        request: gr.Request,
        id: str,
        note: str,
        ends: int,
        include: bool,
        pictures: dict[str, Path | bytes | None],
    ) -> Link:
        picture_bytes = {n: p.read_bytes() if isinstance(p, Path) else p for n, p in pictures.items() if p is not None}
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
        return link

    def _change(self, request: gr.Request, id: str, note: str, ends: int) -> str:
        links, who = self.hub.sharing.links, self._who(request)
        try:
            if not links.owns(id, owners=who.ids):
                raise ForbiddenError("Only the browser that made this link can change it.")
            links.set_note(id, note)
            links.set_end(id, ends or None, who)
            (link,) = self.hub.corrections.counted([links.get(id)])
        except HubError as error:
            return html.error(error) + self._draw_links(request)
        saved = piece("page", "saved", link_facts(link))
        return self._draw_link(request, link) + saved + self._draw_links(request, without=id)

    async def end(self, request: gr.Request, event: gr.EventData) -> list[Any]:
        """Takes a link back, if this browser made it."""
        id = event._data.get("end") if isinstance(event._data, dict) else None
        is_made = bool(id) and self._made.get(request.session_hash or "", ("", True))[0] == id
        if is_made:
            self._made.pop(request.session_hash or "", None)
        drawn = await to_thread.run_sync(self._end, request, id if isinstance(id, str) else "")
        return [drawn, gr.update(visible=False) if is_made else gr.skip()]

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

    def _draw_actions(self, request: gr.Request, id: str) -> Markup:
        result = self.hub.results.get(id) if id else None
        if result is None:
            return Markup("")
        base = addresses.base(self.hub.settings, request.request)
        codes = snippets.all_of(self.page.slug, self.page.demo, base, snippets.values_of(self.page.demo, result))
        return piece("page", "actions", id, self._downloads(result), codes, self.wanted)

    def _downloads(self, result: Result) -> list[tuple[str, str]]:
        """(address, file name) of what a result is kept for: its first picture, or all of it as JSON."""
        base, slug = f"api/v1/results/{result.id}", self.page.slug
        for field in self.page.demo.outputs:
            pictures = result.pictures.get(field.name, ())
            if pictures and isinstance(field, Gallery) and not field.optional:
                return [
                    (f"{base}/{field.name}/{number}", f"{slug}-{number + 1}.{picture.extension}")
                    for number, picture in enumerate(pictures)
                ]
            if pictures and not field.optional:
                number = len(pictures) - 1 if pictures[-1].media_type in PLAYED else 0  # the video, not its still
                name = f"{slug}-{field.name}.{pictures[number].extension}"
                return [(f"api/v1/results/{result.picture_path(field.name, number)}", name)]
        return [(base, f"{slug}.json")]

    def _draw_made(self, request: gr.Request, link: Link) -> str:
        return self._draw_link(request, link, made=True) + self._draw_links(request, without=link.id)

    def _draw_link(self, request: gr.Request, link: Link, made: bool = False) -> Markup:
        url = addresses.link(self.hub.settings, request.request, link.id)
        return piece("page", "link", link.id, url, bool(self.hub.settings.public_url), made)

    def _draw_links(self, request: gr.Request, without: str = "") -> Markup:
        """Live links of this browser to results of this page."""
        links, owners = self.hub.sharing.links, self._who(request).ids
        try:
            own = self.hub.corrections.counted(links.all(owners, self.page.slug, LISTED)) if owners else []
        except HubError as error:
            return html.error(error)
        now = links.clock()
        live = [link for link in own if link.state(now) == "live" and link.id != without]
        return piece("page", "links", [(link.id, link_title(link), link_facts(link)) for link in live])
