"""At the foot of a page: how to call it from code, and how to give others its address. Both name the hub as asked."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hub.hub import Hub
from hub.pages.registry import Page
from hub.web.middleware import addresses
from hub.web.parts import snippets
from hub.web.site import embed


def build(blocks: gr.Blocks, hub: Hub, page: Page) -> None:
    """Draws both, and fills them when the page is opened: only then is it known by what address."""
    components: list[Any] = []
    with gr.Accordion("Use it from code", open=False), gr.Tabs():
        for title, language, _ in snippets.all_of(page.slug, page.demo, ""):
            with gr.Tab(title):
                components.append(gr.Code(language=language, interactive=False, show_label=False, wrap_lines=True))
    with gr.Accordion("Link to it, embed it", open=False):
        components.append(gr.HTML(apply_default_css=False, js_on_load=embed.COPY))

    def fill(request: gr.Request) -> list[str]:
        base = addresses.base(hub.settings, request.request)
        reached = addresses.reachable(hub.settings, request.request)
        texts = [text for _, _, text in snippets.all_of(page.slug, page.demo, base)]
        return [*texts, embed.panel(page, base, reached)]

    blocks.load(fill, outputs=components, show_progress="hidden", queue=False, api_visibility="private")
