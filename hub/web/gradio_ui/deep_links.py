"""`/<slug>?threshold=0.4&example=2&weights=...` opens a page with these values; a notice says which it cannot use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from hub.hub import Hub
from hub.pages.registry import Page
from hub.spec import Choice, Choices, Demo, FileInput, Seed
from hub.web.gradio_ui.blocks import translate_options
from hub.web.middleware import guard
from hub.web.parts.filled import WEIGHTS, Filled, is_ours, read
from hub.web.parts.pieces import piece
from hub.weights import facts


def connect(
    blocks: gr.Blocks, hub: Hub, page: Page, notice: gr.HTML, names: Sequence[str], inputs: Sequence[Any],
    folder: Path, answer: Sequence[Any], open_first: Callable[[gr.Request], Awaitable[list[Any] | None]],
) -> Any:  # fmt: skip
    """Fills `inputs`, which are called `names`, when the page is opened; `notice` says what was done with them.

    Where the address says nothing, `open_first` has values of `inputs` and of `answer`, or None. Returns the event.
    """

    async def fill_in(request: gr.Request) -> list[Any]:
        query = [*request.query_params.multi_items()]
        if not any(is_ours(page, name) for name, _ in query):
            first = await open_first(request)
            return [gr.skip(), *(first or [gr.skip()] * (len(inputs) + len(answer)))]
        owner = hub.history.owner(guard.caller(request.request))
        filled = await to_thread.run_sync(read, hub, page, query, folder, owner)
        text = draw_notice(filled)
        unchanged = [gr.skip()] * len(answer)
        return [gr.update(value=text, visible=bool(text)), *updates(hub, page, names, filled), *unchanged]

    filling = blocks.load(
        fill_in, outputs=[notice, *inputs, *answer], show_progress="hidden", queue=False, api_visibility="private"
    )
    return filling.then(None, js="() => hubFilled()", api_visibility="private")  # templates/gradio/page.js


def updates(hub: Hub, page: Page, names: Sequence[str], filled: Filled) -> list[Any]:
    """What each input component becomes; unnamed ones stay as they are."""
    demo, answers = page.demo, list[Any]()
    weights = filled.values.get(WEIGHTS)
    options = facts.options(hub.weights, page, weights) if weights else {}
    fields = {f.name: f for f in demo.inputs}
    for name in names:
        value = _component_value(demo, fields.get(name), filled.values[name]) if name in filled.values else None
        if name in options and isinstance(fields[name], Choice | Choices):
            more = {"value": value} if name in filled.values else {}
            answers.append(gr.update(choices=translate_options(options[name]), **more))
        elif isinstance(fields.get(name), FileInput) and name in filled.values:
            answers.append(value)  # not in an update, whose pictures Gradio decodes on the event loop
        else:
            answers.append(gr.update(value=value) if name in filled.values else gr.skip())
    return answers


def _component_value(demo: Demo, entry: Any, value: Any) -> Any:
    if isinstance(entry, Choices):
        return list(value)
    return str(value) if isinstance(entry, Seed) and value is not None else value


def draw_notice(filled: Filled, of: str = "this address") -> str:
    """What was not as asked; empty when there is nothing to say."""
    return piece("page", "filled", of, filled.notes, filled.problems)
