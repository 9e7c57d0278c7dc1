"""The Gradio pages: a gallery at `/` and a page per demo, built from the declarations alone."""

from __future__ import annotations

from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import Any, cast

import gradio as gr

from hub import describe
from hub.hub import Hub
from hub.pages.registry import Page
from hub.web.gradio_door.page_files import PageFiles
from hub.web.gradio_door.parts import HOME, Part, Parts
from hub.web.gradio_ui import status as status_ui
from hub.web.gradio_ui.blocks import Pages, draw
from hub.web.gradio_ui.page.page import DemoPage
from hub.web.parts import html

DAY_S = 86_400


def build(hub: Hub) -> gr.Blocks:
    """All pages of the hub's registry in one Blocks, each made when it is first asked for."""
    ui = _Pages(hub)
    blocks: Any = Pages(title="Demo Hub", analytics_enabled=False, delete_cache=(3600, DAY_S))
    blocks.hub_files = ui.files
    blocks.hub_ui, blocks.hub_parts = ui, Parts(hub, blocks, [*ui.own_parts(), *map(ui.part_of, hub.registry)])
    blocks.config = blocks.get_config_file()
    return cast(gr.Blocks, blocks)


class _Pages:
    """What all pages share: the hub, threads to wait for it in, and the files they take and show."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self.threads = ThreadPoolExecutor(hub.settings.queue_limit + 8, thread_name_prefix="page")
        self.files = PageFiles(hub)

    def own_parts(self) -> list[Part]:
        """The pages that are no demo's."""
        return [Part(HOME, "Home", self.draw_home), Part("status", "Status", self.draw_status)]

    def part_of(self, page: Page) -> Part:
        """A demo's page, to be drawn when it is first asked for."""
        return Part(page.slug, page.title, partial(self.draw_page, page))

    def redraw(self, blocks: Any, slugs: Collection[str]) -> None:
        """Draws these demos' pages anew; and all others, whose menus may name them."""
        for slug in slugs:
            if slug not in self.hub.registry.pages:
                blocks.hub_parts.remove(slug)
        for part in (*self.own_parts(), *map(self.part_of, self.hub.registry)):
            blocks.hub_parts.put(part)

    def draw_home(self, blocks: gr.Blocks) -> None:
        self._draw_masthead(HOME)
        cards = draw(partial(self.gallery, html.AT_ONCE))
        blocks.load(self.gallery, outputs=cards, show_progress="hidden", queue=False, api_visibility="private")

    def draw_page(self, page: Page, blocks: gr.Blocks) -> None:
        self._draw_masthead(page.slug)
        if page.declared is None:
            draw(partial(html.broken, page, self.hub.settings.reload))
        else:
            DemoPage(self.hub, page, self.threads, self.files.results, partial(self.files.find, use=True)).build(blocks)

    def draw_status(self, blocks: gr.Blocks) -> None:
        self._draw_masthead("status")
        status_ui.build(blocks, self.hub)

    def _draw_masthead(self, here: str) -> None:
        hub = self.hub
        draw(lambda: html.masthead(hub.visible, here, signed_in=hub.settings.asks))

    def gallery(self, most: int | None = None) -> str:
        """The cards; `most`: no more than so many."""
        pages = [(page, describe.state(self.hub, page)) for page in islice(self.hub.visible, most)]
        return html.gallery(pages, describe.notices(self.hub), len(self.hub.visible.pages))
