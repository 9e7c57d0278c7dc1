"""One demo's page as it is laid out, and what its buttons and inputs begin."""

from __future__ import annotations

import inspect
from concurrent.futures import Executor
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.spec import Choice, Choices, ImageInput, Slider, Toggle
from hub.texts import say
from hub.web.gradio_ui import api as gradio_api
from hub.web.gradio_ui import code as code_ui
from hub.web.gradio_ui import compare as compare_ui
from hub.web.gradio_ui import corrections as corrections_ui
from hub.web.gradio_ui import deep_links, fields
from hub.web.gradio_ui import links as links_ui
from hub.web.gradio_ui import restore as restore_ui
from hub.web.gradio_ui import similar as similar_ui
from hub.web.gradio_ui.blocks import draw
from hub.web.gradio_ui.page.asking import EXAMPLE_CLICK, Asking
from hub.web.gradio_ui.page.drawing import Drawing, Find
from hub.web.gradio_ui.page.opening import Opening
from hub.web.gradio_ui.page.running import Running
from hub.web.gradio_ui.runs import Runs
from hub.web.parts import html, model_cards
from hub.weights import facts as weights_facts
from hub.weights.sources import HubSource


class DemoPage:
    """One demo's page: lays it out, and says which event begins what."""

    def __init__(self, hub: Hub, page: Page, threads: Executor, folder: Path, find: Find | None = None):
        self.hub, self.page, self.demo, self.threads, self.folder = hub, page, page.demo, threads, folder
        self.drawing = Drawing(page.demo, find)
        self.asking = Asking(hub, page, self.drawing)
        self.running = Running(hub, page, self.asking, Runs(threads), threads, folder)
        self.opening = Opening(hub, page, self.asking, self.running)
        self.past, self.live = self.running.past, self.running.live
        self.similar = similar_ui.Row(hub, page)
        self.share = links_ui.Share(hub, page)
        self.correct = corrections_ui.Correct(hub, page)
        self.restore = restore_ui.Restore(hub, page, self.asking.names)
        self.compare = compare_ui.Compare(hub, threads, folder, page)
        self.running.listeners = [self.similar, self.share, self.correct, self.restore]
        self.running.beside = [self.share, self.correct]

    def build(self, blocks: gr.Blocks) -> None:
        demo = self.demo
        head = draw(self.running.draw_head)
        blocks.load(self.running.draw_head, outputs=head, show_progress="hidden", queue=False, api_visibility="private")
        asked, drawn = kinds.asked_first(demo), dict[str, Any]()
        with gr.Row(equal_height=False, elem_classes="hub-stage"):  # style.css says what stands where
            with gr.Column(elem_classes="hub-ask"):
                notice = draw(visible=False)
                self.asking.draw_fields(asked, drawn, self.live)
                with gr.Column() as buttons:
                    example_tiles = self.asking.draw_examples()
                    with gr.Row():
                        run = gr.Button("Run", variant="primary", scale=3, elem_classes="hub-run")
                        stop = gr.Button("Stop", variant="stop", scale=1, visible=False)
                if self.live.wanted:
                    self.live.draw_switch()
            with gr.Column(elem_classes="hub-answer-side"):
                steps = "hub-stepwise" if inspect.isgeneratorfunction(demo.infer) else ""
                with gr.Column(elem_classes=["hub-answers", steps]) as answers:
                    status = draw(partial(html.hint, demo))
                    share = self.share.build()
                    outputs = [fields.output_component(f) for f in self.running.outputs]
                    corrections = self.correct.build()
                    with gr.Column(elem_classes="hub-after"):
                        self.restore.build_buttons()
                        receipt = draw()
                        self.similar.build(receipt, EXAMPLE_CLICK)
                if self.live.wanted:
                    self.live.view()
            with gr.Column(elem_classes="hub-settings"):
                inputs = self.asking.draw_settings(asked, drawn, self.live)
                self.restore.build(notice, inputs)
                self.past.build()
        compare = self.compare.build(inputs)
        self.about(blocks)
        code_ui.build(blocks, self.hub, self.page, self.asking.names, inputs)
        answer = [status, stop, receipt, head, *self.share.places, *self.correct.places, *outputs]
        self.share.connect(share, inputs)
        self.correct.connect(corrections, inputs)
        self.connect(inputs, answer, run, stop, example_tiles)
        self.drawing.connect(inputs)
        fixed = [
            c for c, f in zip(inputs, demo.inputs, strict=False) if isinstance(f, ImageInput) or f.name in demo.live
        ]
        beside = [*fixed, buttons, answers, *([compare] if compare else [])]
        self.live.connect(inputs, beside, head, self.running.draw_head)
        opened = deep_links.connect(
            blocks, self.hub, self.page, notice, self.asking.names, inputs, self.folder,
            answer, self.opening.open_first,
        )  # fmt: skip
        self.past.connect(blocks, receipt)
        # After what the address fills in: a run in work says what it was asked, whatever the address says.
        opened.then(
            self.opening.show_open_run, outputs=[*inputs, *answer],
            show_progress="hidden", concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        gradio_api.add(self.hub, self.threads, self.folder, self.page, self.asking.names, inputs)
        if self.compare.wanted:
            gradio_api.add_compare(self.hub, self.threads, self.folder, self.page, inputs, self.compare.sides)

    def about(self, blocks: gr.Blocks) -> None:
        facts = weights_facts.weights_facts(self.hub.weights, self.page)
        if not facts and not self.demo.links:
            return
        with gr.Accordion("About this model", open=False):
            drawings = []
            for fact in facts:
                drawings.append([draw(partial(html.weights, [fact], several=len(facts) > 1))])
                with gr.Accordion("Its card", open=False) if len(facts) > 1 else nullcontext():
                    drawings[-1].append(draw(partial(model_cards.draw, fact.card)))
            sources = [self.hub.weights.source(fact.name) for fact in facts]
            if any(isinstance(source, HubSource) for source in sources):  # fetched while the hub runs
                components = [component for pair in drawings for component in pair]
                blocks.load(
                    self.facts, outputs=components, show_progress="hidden", queue=False, api_visibility="private"
                )
            if self.demo.links:
                gr.Markdown("\n".join(f"- [{title}]({address})" for title, address in self.demo.links.items()))

    def facts(self) -> list[str]:
        """What `about` shows of each set of weights, as it is now."""
        facts = weights_facts.weights_facts(self.hub.weights, self.page)
        several = len(facts) > 1
        return [text for fact in facts for text in (html.weights([fact], several=several), model_cards.draw(fact.card))]

    def connect(self, inputs: list[Any], outputs: list[Any], run: Any, stop: Any, example_tiles: Any) -> None:
        """Run, stop, examples; and, where an answer takes a moment only, every change of a parameter."""
        options: dict[str, Any] = {
            "inputs": inputs,
            "outputs": outputs,
            "show_progress": "hidden",
            "concurrency_limit": None,
            "api_visibility": "private",
        }
        triggers = [run.click]
        triggers += [c.submit for c in inputs if isinstance(c, gr.Textbox) and c.lines == 1]
        quick = not inspect.isgeneratorfunction(self.demo.infer)
        pictures = [c for c in inputs if isinstance(c, fields.Upload)]
        if kinds.runs_at_once(self.demo):
            triggers += [pictures[0].upload]
            outputs[2].change(
                lambda: gr.update(value=say("Run again")), outputs=run, show_progress="hidden", queue=False,
                api_visibility="private",
            )  # fmt: skip
        gr.on(triggers, self.running.run, trigger_mode="multiple", **options)
        for picture in pictures:
            picture.upload(
                fields.show_still, inputs=picture, outputs=picture, show_progress="hidden", api_visibility="private"
            )
        if quick and pictures:
            declared = [*self.demo.inputs, *([None] if "weights" in self.asking.names else [])]
            # `input` and not a slider's `release`: the keyboard moves sliders too.
            changes = [
                c.input
                for c, f in zip(inputs, declared, strict=True)
                if isinstance(f, Slider | Toggle | Choice | Choices) or (f is None and not self.asking.following)
            ]
            if changes:
                gr.on(changes, self.running.run_again, trigger_mode="always_last", **options)
        if self.asking.following and "weights" in self.asking.names:
            components = [c for c, f in zip(inputs, self.demo.inputs, strict=False) if f in self.asking.following]
            adapted = inputs[-1].input(
                self.asking.adapt, inputs=[inputs[-1], *components], outputs=components, queue=False,
                show_progress="hidden", api_visibility="private",
            )  # fmt: skip
            if quick and pictures:
                adapted.success(self.running.run_again, **options)
        for tiles in filter(None, (example_tiles, self.similar.tiles)):
            picked = tiles.click(
                self.asking.pick, outputs=inputs, show_progress="hidden", queue=False, api_visibility="private"
            )
            picked.success(self.running.run, **options)
        self.restore.connect(inputs, outputs[2], self.running.run, options)
        # Not by Gradio's `cancels`: that is another stream, and the run's last progress may overtake its answer.
        stop.click(self.running.stop, queue=False, show_progress="hidden", api_visibility="private")
