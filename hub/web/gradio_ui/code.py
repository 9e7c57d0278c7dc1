"""At the foot of a page: how to call it from code, and how to give others its address. Both name the hub as asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.web.middleware import addresses
from hub.web.parts import snippets
from hub.web.site import embed


def build(blocks: gr.Blocks, hub: Hub, page: Page, names: Sequence[str], inputs: Sequence[Any]) -> None:
    """Draws both, and fills them when the page is opened: only then is it known by what address.

    The code follows `inputs`, which are called `names`.
    """
    pictures = kinds.file_inputs(page.demo)
    settings = {name: one for name, one in zip(names, inputs, strict=True) if name not in pictures}
    components: list[Any] = []
    with gr.Accordion("Use it from code", open=False), gr.Tabs():
        for title, language, _ in snippets.all_of(page.slug, page.demo, ""):
            with gr.Tab(title):
                components.append(gr.Code(language=language, interactive=False, show_label=False, wrap_lines=True))
    with gr.Accordion("Link to it, embed it", open=False):
        panel = gr.HTML(apply_default_css=False, js_on_load=embed.COPY)

    def write(request: gr.Request, *values: Any) -> list[str]:
        base = addresses.base(hub.settings, request.request)
        given = dict(zip(settings, values, strict=True))
        return [text for _, _, text in snippets.all_of(page.slug, page.demo, base, given)]

    def fill(request: gr.Request, *values: Any) -> list[str]:
        base = addresses.base(hub.settings, request.request)
        reached = addresses.reachable(hub.settings, request.request)
        return [*write(request, *values), embed.panel(page, base, reached)]

    options: dict[str, Any] = {
        "inputs": [*settings.values()], "show_progress": "hidden", "queue": False, "api_visibility": "private",
    }  # fmt: skip
    blocks.load(fill, outputs=[*components, panel], **options)
    changes = [one.change for one in settings.values()]
    if changes:
        gr.on(changes, write, outputs=components, trigger_mode="always_last", **options)
