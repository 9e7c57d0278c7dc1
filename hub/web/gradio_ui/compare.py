"""Two sets of weights beside each other, on a page that has more than one: what asks for it, and the answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hub.engine.compare import Comparison, compare
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, HubError
from hub.hub import Hub
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.spec import ImageOutput
from hub.texts import say
from hub.web.gradio_ui import blocks, fields
from hub.web.gradio_ui.runs import Runs
from hub.web.middleware import guard
from hub.web.parts import comparison as compare_html
from hub.web.parts import html, wording
from hub.web.parts.pieces import piece
from hub.weights import facts

# In the browser alone: an answer that is shown is not one to the inputs that stand above it any more.
CHANGED = "() => document.querySelectorAll('.hub-old').forEach((note) => { note.hidden = false; })"


class Compare:
    """One page's comparison. Draws nothing where there is one set of weights."""

    def __init__(self, hub: Hub, threads: Executor, folder: Path, page: Page):
        self.hub, self.folder, self.page = hub, folder, page
        self.wanted = len(page.demo.weights) > 1
        self.runs = Runs(threads)
        self.names = [f.name for f in page.demo.inputs]
        self.pictures = [f for f in page.demo.outputs if isinstance(f, ImageOutput)]
        self.titles = {w.name: w.title or w.name for w in page.demo.weights}
        self.sides: list[Any] = []  # the components that choose A and B

    # --- layout -----------------------------------------------------------------------------------

    def build(self, inputs: Sequence[Any]) -> gr.Accordion | None:
        """Draws the choice of A and B and where the answer is shown.

        `inputs` are the page's, in declared order, then the choice of weights.
        """
        if not self.wanted:
            return None
        named = [(title, name) for name, title in self.titles.items()]
        with gr.Accordion("Compare weights", open=False, elem_classes="hub-compare") as accordion:
            with gr.Row(equal_height=False):
                self.sides = [
                    fields.choice(mark, named, name, None) for mark, (_, name) in zip("AB", named, strict=False)
                ]
            with gr.Row():
                run = gr.Button("Run A and B", variant="primary", scale=3)
                stop = gr.Button("Stop", variant="stop", scale=1, visible=False)
            drawings = [blocks.draw(_draw_help)]
            for field in self.pictures:
                drawings.append(blocks.draw())
                drawings.append(
                    gr.ImageSlider(
                        label=field.label, interactive=False, type="filepath", buttons=["fullscreen"], visible=False,
                        max_height=600,
                    )
                )  # fmt: skip
            drawings.append(blocks.draw())
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        page_inputs = [component for component, _ in zip(inputs, self.names, strict=False)]
        both_inputs = [*self.sides, inputs[-1], *page_inputs]
        run.click(self.run, inputs=both_inputs, outputs=[stop, *drawings], concurrency_limit=None, **options)
        stop.click(self.stop, queue=False, **options)
        gr.on([c.change for c in [*self.sides, *page_inputs]], None, js=CHANGED, **options)
        return accordion

    # --- events -----------------------------------------------------------------------------------

    async def run(
        self, request: gr.Request, a: str | None, b: str | None, weights: str | None, *values: Any
    ) -> AsyncIterator[list[Any]]:
        """Both runs with their stages as they happen; leaving the page or Stop cancels them.

        `weights` are those that the page's own runs use.
        """
        inputs = self._inputs_of_both(weights or "", values)
        unchanged = [gr.skip()] * (2 * len(self.pictures) + 1)
        work = partial(self._work, inputs, a or "", b or "", guard.caller_on_page(request))
        async with aclosing(self.runs.follow(request.session_hash or "", work)) as moments:
            async for now in moments:
                if now.ended is None:
                    yield [
                        gr.update(visible=True),
                        self._draw_progress(a or "", b or "", now.last_event, now.seconds),
                        *unchanged,
                    ]
                    continue
                problem, hidden = now.ended.exception(), gr.update(visible=False)
                if problem is None:
                    yield [hidden, *now.ended.result()]
                elif isinstance(problem, CancelledError):
                    yield [hidden, html.stopped(), *unchanged]
                elif isinstance(problem, HubError):
                    yield [hidden, html.error(wording.by_label(self.page.demo, problem)), *unchanged]
                else:
                    raise problem

    def _inputs_of_both(self, weights: str, values: Sequence[Any]) -> dict[str, Any]:
        """What is asked of both; left out is what stands where these weights start, for that is each set's own."""
        inputs = {n: v for n, v in zip(self.names, values, strict=True) if v is not None}
        own = facts.own_defaults(self.hub.weights, self.page, weights)
        return {n: v for n, v in inputs.items() if n not in own or v != own[n]}

    async def stop(self, request: gr.Request) -> None:
        """Cancels this browser session's comparisons on this page."""
        self.runs.stop(request.session_hash or "")

    def _work(
        self,
        inputs: Mapping[str, Any],
        a: str,
        b: str,
        who: Caller,
        hear: Callable[..., None],
        cancel: Cancel,
    ) -> list[Any]:
        options: dict[str, Any] = {"cancel": cancel, "caller": who, "on_event": hear}
        return self.draw_comparison(compare(self.hub.engine, self.page.slug, inputs, a, b, **options))

    def _draw_progress(self, a: str, b: str, event: tuple[Any, ...], seconds: float) -> str:
        side, stage, progress = event or ("a", "queued", None)
        step, total = (progress.step, progress.total) if progress else (0, 0)
        title = self.titles.get(a if side == "a" else b, "")
        return compare_html.draw_busy(side.upper(), title, html.status(stage, seconds, step, total))

    def draw_comparison(self, comparison: Comparison) -> list[Any]:
        """A comparison as values of what `build` draws for it."""
        titles = [self.titles.get(result.receipt.weights, "") for result in (comparison.a, comparison.b)]
        updates: list[Any] = [compare_html.draw_head(comparison, titles)]
        for field in self.pictures:
            pair = next((pair for pair in comparison.pictures if pair.output == field.name), None)
            if pair is None or pair.differ is None:  # nothing to lay over each other
                beside = compare_html.draw_beside(field, [pair] if pair else [], comparison, titles)
                updates += [beside, gr.update(visible=False, value=None)]
                continue
            files = [
                fields.write_picture(result.id, field.name, 0, result.pictures[field.name][0], self.folder)
                for result in (comparison.a, comparison.b)
            ]
            updates += [compare_html.draw_above(pair), gr.update(visible=True, value=tuple(files))]
        return [*updates, compare_html.draw_answer(self.page.demo, comparison, titles)]


def _draw_help() -> str:
    return piece("page", "help", say("The inputs above, answered by A and then by B."))
