"""The Gradio pages: a gallery at `/` and a page per demo, built from the declarations alone."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Collection, Container, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing, nullcontext
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, cast

import gradio as gr

from hub import describe
from hub.engine.jobs import Cancel, Followed
from hub.errors import CancelledError, HubError, InputError
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Result
from hub.spec import Choice, Choices, FileInput, ImageInput, Slider, Toggle
from hub.texts import say, sentence
from hub.web.api import events
from hub.web.gradio_door.page_files import PageFiles
from hub.web.gradio_door.parts import HOME, Part, Parts
from hub.web.gradio_ui import api as gradio_api
from hub.web.gradio_ui import code as code_ui
from hub.web.gradio_ui import compare as compare_ui
from hub.web.gradio_ui import corrections as corrections_ui
from hub.web.gradio_ui import deep_links, fields
from hub.web.gradio_ui import history as history_ui
from hub.web.gradio_ui import links as links_ui
from hub.web.gradio_ui import live as live_ui
from hub.web.gradio_ui import restore as restore_ui
from hub.web.gradio_ui import similar as similar_ui
from hub.web.gradio_ui import status as status_ui
from hub.web.gradio_ui.blocks import Pages, draw, translate_options
from hub.web.gradio_ui.runs import Moment, Runs
from hub.web.middleware import guard
from hub.web.parts import html, model_cards, wording
from hub.weights import facts as weights_facts
from hub.weights.sources import HubSource

EXAMPLE_CLICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-example]');
  if (button) trigger('click', {example: Number(button.dataset.example)});
});"""
DAY_S = 86_400


def build(hub: Hub) -> gr.Blocks:
    """All pages of the hub's registry in one Blocks, each made when it is first asked for."""
    ui = _Pages(hub)
    blocks: Any = Pages(title="Demo Hub", analytics_enabled=False, delete_cache=(3600, DAY_S))
    blocks.hub_files = ui.files
    pages = [Part(page.slug, page.title, partial(ui.draw_page, page)) for page in hub.registry]
    blocks.hub_parts = Parts(
        blocks, [Part(HOME, "Home", ui.draw_home), *pages, Part("status", "Status", ui.draw_status)]
    )
    blocks.config = blocks.get_config_file()
    return cast(gr.Blocks, blocks)


class _Pages:
    """What all pages share: the hub, threads to wait for it in, and the files they take and show."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self.threads = ThreadPoolExecutor(hub.settings.queue_limit + 8, thread_name_prefix="page")
        self.files = PageFiles(hub)
        self.folder = self.files.results

    def draw_home(self, blocks: gr.Blocks) -> None:
        self._draw_masthead(HOME)
        cards = draw(partial(self.gallery, html.AT_ONCE))
        blocks.load(self.gallery, outputs=cards, show_progress="hidden", queue=False, api_visibility="private")

    def draw_page(self, page: Page, blocks: gr.Blocks) -> None:
        self._draw_masthead(page.slug)
        if page.declared is None:
            draw(partial(html.broken, page))
        else:
            _Page(self, page).build(blocks)

    def draw_status(self, blocks: gr.Blocks) -> None:
        self._draw_masthead("status")
        status_ui.build(blocks, self.hub)

    def _draw_masthead(self, here: str) -> None:
        hub = self.hub
        draw(partial(html.masthead, hub.registry, here, signed_in=hub.settings.asks))

    def gallery(self, most: int | None = None) -> str:
        """The cards; `most`: no more than so many."""
        pages = [(page, describe.state(self.hub, page)) for page in islice(self.hub.registry, most)]
        return html.gallery(pages, describe.notices(self.hub), len(self.hub.registry.pages))


class _Page:
    """One demo's page: builds it, and answers its events."""

    def __init__(self, pages: _Pages, page: Page):
        self.pages, self.hub, self.page, self.demo = pages, pages.hub, page, page.demo
        self.outputs = kinds.on_page(self.demo)
        self.similar = similar_ui.Row(self.hub, page)
        self.runs = Runs(pages.threads)
        self.share = links_ui.Share(self.hub, page)
        self.correct = corrections_ui.Correct(self.hub, page)
        self.following = [  # inputs of which other weights have other options, or another default
            f for f in self.demo.inputs
            if (isinstance(f, Choice | Choices) and f.options_from) or (isinstance(f, Slider) and f.default_from)
        ]  # fmt: skip
        self.names = [f.name for f in self.demo.inputs] + (["weights"] if len(self.demo.weights) > 1 else [])
        self.restore = restore_ui.Restore(self.hub, page, self.names)
        self.past = history_ui.Past(self.hub, page, self.runs)
        self.live = live_ui.Live(self.hub, pages.threads, page, self.names)
        self.compare = compare_ui.Compare(self.hub, pages.threads, pages.folder, page)

    # --- layout -----------------------------------------------------------------------------------

    def build(self, blocks: gr.Blocks) -> None:
        demo = self.demo
        head = draw(self.head)
        blocks.load(self.head, outputs=head, show_progress="hidden", queue=False, api_visibility="private")
        asked, drawn = kinds.asked_first(demo), dict[str, Any]()
        with gr.Row(equal_height=False, elem_classes="hub-stage"):  # style.css says what stands where
            with gr.Column(elem_classes="hub-ask"):
                notice = draw(visible=False)
                self.draw_fields(asked, drawn)
                with gr.Column() as buttons:
                    example_tiles = self.examples()
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
                    outputs = [fields.output_component(f) for f in self.outputs]
                    corrections = self.correct.build()
                    with gr.Column(elem_classes="hub-after"):
                        self.restore.build_buttons()
                        receipt = draw()
                        self.similar.build(receipt, EXAMPLE_CLICK)
                if self.live.wanted:
                    self.live.view()
            with gr.Column(elem_classes="hub-settings"):
                inputs = self.draw_settings(asked, drawn)
                self.restore.build(notice, inputs)
                self.past.build()
        compare = self.compare.build(inputs)
        self.about(blocks)
        code_ui.build(blocks, self.hub, self.page, self.names, inputs)
        self.share.connect(share, receipt, inputs)
        self.correct.connect(corrections, receipt, inputs)
        self.connect(inputs, [status, stop, receipt, head, *outputs], run, stop, example_tiles)
        fixed = [
            c for c, f in zip(inputs, demo.inputs, strict=False) if isinstance(f, ImageInput) or f.name in demo.live
        ]
        beside = [*fixed, buttons, answers, *([compare] if compare else [])]
        self.live.connect(inputs, beside, head, self.head)
        opened = deep_links.connect(
            blocks, self.hub, self.page, notice, self.names, inputs, self.pages.folder,
            [status, stop, receipt, head, *outputs], self.open_first,
        )  # fmt: skip
        self.past.connect(blocks, receipt)
        # After what the address fills in: a run in work says what it was asked, whatever the address says.
        opened.then(
            self.show_open_run, outputs=[*inputs, status, stop, receipt, head, *outputs], show_progress="hidden",
            concurrency_limit=None, api_visibility="private",
        )  # fmt: skip
        gradio_api.add(self.hub, self.pages.threads, self.pages.folder, self.page, self.names, inputs)
        if self.compare.wanted:
            gradio_api.add_compare(
                self.hub, self.pages.threads, self.pages.folder, self.page, inputs, self.compare.sides
            )

    def draw_fields(self, names: Container[str], drawn: dict[str, Any]) -> None:
        """Draws what asks for these inputs, and adds it to `drawn`."""
        options = self.options(self.demo.weights[0].name if self.demo.weights else "")
        own = weights_facts.own_defaults(self.hub.weights, self.page)
        for field in self.demo.inputs:
            if field.name in names:
                if isinstance(field, Slider) and field.name in own:
                    field = replace(field, default=own[field.name])
                drawn[field.name] = fields.input_component(field, options.get(field.name))
                if isinstance(field, ImageInput) and self.live.wanted:
                    self.live.camera(field)

    def draw_settings(self, asked: Collection[str], drawn: dict[str, Any]) -> list[Any]:
        """Draws the inputs that were not asked first, and the weights where there is a choice.

        Returns all of them in declared order.
        """
        more = {*self.demo.more} - {*asked}
        self.draw_fields({f.name for f in self.demo.inputs} - {*asked} - more, drawn)
        weights = fields.weights_choice(self.demo)
        if more:
            with gr.Accordion("More settings", open=False):
                self.draw_fields(more, drawn)
        return [drawn[f.name] for f in self.demo.inputs] + ([weights] if weights else [])

    def options(self, weights: str) -> dict[str, tuple[str, ...]]:
        return weights_facts.options(self.hub.weights, self.page, weights)

    def head(self) -> str:
        return html.title(self.page, describe.state(self.hub, self.page))

    def examples(self) -> gr.HTML | None:
        if not self.demo.examples:
            return None
        return draw(partial(html.examples, self.page), js_on_load=EXAMPLE_CLICK)

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

    # --- events -----------------------------------------------------------------------------------

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
        gr.on(triggers, self.run, trigger_mode="multiple", **options)
        for picture in pictures:
            picture.upload(
                fields.show_still, inputs=picture, outputs=picture, show_progress="hidden", api_visibility="private"
            )
        if quick and pictures:
            declared = [*self.demo.inputs, *([None] if "weights" in self.names else [])]
            # `input` and not a slider's `release`: the keyboard moves sliders too.
            changes = [
                c.input
                for c, f in zip(inputs, declared, strict=True)
                if isinstance(f, Slider | Toggle | Choice | Choices) or (f is None and not self.following)
            ]
            if changes:
                gr.on(changes, self.run_again, trigger_mode="always_last", **options)
        if self.following and "weights" in self.names:
            components = [c for c, f in zip(inputs, self.demo.inputs, strict=False) if f in self.following]
            adapted = inputs[-1].input(
                self.adapt, inputs=[inputs[-1], *components], outputs=components, queue=False, show_progress="hidden",
                api_visibility="private",
            )  # fmt: skip
            if quick and pictures:
                adapted.success(self.run_again, **options)
        for tiles in filter(None, (example_tiles, self.similar.tiles)):
            picked = tiles.click(
                self.pick, outputs=inputs, show_progress="hidden", queue=False, api_visibility="private"
            )
            picked.success(self.run, **options)
        self.restore.connect(inputs, outputs[2], self.run, options)
        # Not by Gradio's `cancels`: that is another stream, and the run's last progress may overtake its answer.
        stop.click(self.stop, queue=False, show_progress="hidden", api_visibility="private")

    def adapt(self, weights: str, *values: Any) -> Any:
        """Other weights were chosen: their defaults, and their options with what was chosen before if they have it."""
        options, own, updates = (
            self.options(weights),
            weights_facts.own_defaults(self.hub.weights, self.page, weights),
            [],
        )
        for field, value in zip(self.following, values, strict=True):
            if isinstance(field, Slider):
                updates.append(gr.update(value=own.get(field.name, field.default)))
                continue
            options_now = options.get(field.name, field.options)
            if isinstance(field, Choices):
                value = [one for one in value or () if one in options_now]
            else:
                value = value if value in options_now else field.default
            updates.append(gr.update(choices=translate_options(options_now), value=value))
        return updates[0] if len(updates) == 1 else updates

    def _missing(self, inputs: Mapping[str, Any]) -> InputError | None:
        """What to say of an input that the page cannot do without, by the name that stands above it."""
        for field in self.demo.inputs:
            if field.required and inputs.get(field.name) in (None, ""):
                is_file = isinstance(field, FileInput)
                text = "{name} is missing: choose one first." if is_file else "{name} is missing: write it first."
                return InputError(text, name=sentence(field.label), field=field.name)
        return None

    def pick(self, event: gr.EventData) -> Any:
        """Fills the inputs with an example's; what it leaves out goes back to its default."""
        number = event._data.get("example") if isinstance(event._data, dict) else None
        if not isinstance(number, int) or not 0 <= number < len(self.demo.examples):
            raise gr.Error(say("There is no such example; reload the page."), print_exception=False)
        values = self.example_values(number)
        return values[0] if len(values) == 1 else values

    def example_values(self, number: int) -> list[Any]:
        """An example as values of the inputs' components."""
        example = self.demo.examples[number].inputs
        values: list[Any] = []
        weights = str(example.get("weights", self.demo.weights[0].name if self.demo.weights else ""))
        options, usual = self.options(weights), weights_facts.defaults(self.hub.weights, self.page, weights)
        for field in self.demo.inputs:
            value = example.get(field.name, usual.get(field.name))
            if isinstance(field, FileInput) and value:
                value = str(self.page.assets / value)
            elif isinstance(field, Choices):
                value = list(value)
            if field.name in options:
                value = gr.update(choices=translate_options(options[field.name]), value=value)
            values.append(value)
        if "weights" in self.names:
            values.append(example.get("weights", self.demo.weights[0].name))
        return values

    async def run_again(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        """A parameter was changed: runs if the pictures are there; a live camera's next frame has it anyway."""
        there = all(v is not None for f, v in zip(self.demo.inputs, values, strict=False) if isinstance(f, ImageInput))
        if there and not self.live.is_on(request):
            async for update in self.run(request, *values, adjusting=True):
                yield update
        else:
            yield [gr.skip()] * (4 + len(self.outputs))

    async def run(self, request: gr.Request, *values: Any, adjusting: bool = False) -> AsyncIterator[list[Any]]:
        """One run with its stages as they happen; leaving the page or Stop cancels it."""
        inputs = {n: v for n, v in zip(self.names, values, strict=True) if v is not None}
        who, missing = guard.caller_on_page(request), self._missing(inputs)
        if missing is not None:
            yield [html.error(missing, html.earlier()), *[gr.skip()] * (3 + len(self.outputs))]
            return

        def work(hear: OnEvent, cancel: Cancel) -> Result:
            slug = self.page.slug
            return self.hub.engine.run(slug, inputs, on_event=hear, cancel=cancel, caller=who)

        # `Followed`: the run goes on for a moment without its page, which may only be loaded again.
        async with aclosing(self.runs.follow(request.session_hash or "", work, Followed())) as moments:
            async for now in moments:
                yield await self.draw_moment(request, now, inputs, adjusting)

    async def draw_moment(
        self, request: gr.Request, now: Moment[Result], inputs: Mapping[str, Any], adjusting: bool = False
    ) -> list[Any]:
        """One moment of a run on the page: its stage, or what came of it."""
        unchanged, task = [gr.skip()] * len(self.outputs), now.ended
        if task is None:
            stage, progress = now.last_event or ("queued", None)
            step, total, left_s = (progress.step, progress.total, progress.left_s) if progress else (0, 0, None)
            so_far, place = events.data_url(events.preview(progress)), 0
            if stage == "queued" and (waiting := self.hub.waiting(guard.caller_on_page(request), self.page.slug)):
                place, left_s = waiting.place, waiting.left_s
            line = html.status(stage, now.seconds, step, total, left_s, so_far, place)
            return [line, gr.update(visible=True), gr.skip(), gr.skip(), *unchanged]
        if task.exception() is None:
            self.remember_result(request, task.result())
            await self.past.remember_result(request, task.result(), adjusting)
            fill = partial(fields.fill_outputs, self.demo, task.result(), self.pages.folder, inputs)
            work_of = copy_context().run  # the thread draws for the same visitor
            unchanged = await asyncio.get_running_loop().run_in_executor(self.pages.threads, work_of, fill)
        return [*self.draw_outcome(task), *unchanged]

    def remember_result(self, request: gr.Request, result: Result) -> None:
        """Remembers which result an open page shows."""
        for part in (self.similar, self.share, self.correct, self.restore):
            part.remember_result(request, result)

    async def open_first(self, request: gr.Request) -> list[Any] | None:
        """What a page shows that was just opened: its first example with its answer. None: there is no such answer yet.

        It is no run of the visitor's, and not in their history.
        """
        who, begin = guard.caller_on_page(request), time.perf_counter()
        if not self.demo.examples or self.hub.history.in_work(self.hub.history.owner(who), self.page.slug):
            return None
        result = await asyncio.to_thread(self.hub.first_answers.get, self.page)
        if result is None or self.runs.is_busy(request.session_hash or ""):  # a visitor was quicker than that
            return None
        result = self.hub.shown.give(self.hub.owners.of(who), result, (time.perf_counter() - begin) * 1000)
        self.remember_result(request, result)
        pictures = {
            f.name: self.page.assets / str(self.demo.examples[0].inputs[f.name])
            for f in self.demo.inputs
            if isinstance(f, ImageInput) and f.name in self.demo.examples[0].inputs
        }
        answer = await asyncio.to_thread(fields.fill_outputs, self.demo, result, self.pages.folder, pictures)
        paid = html.receipt(result.receipt, result.id, result.seed)
        return [*self.example_values(0), self.draw_title(result), gr.skip(), paid, gr.skip(), *answer]

    async def show_open_run(self, request: gr.Request) -> AsyncIterator[list[Any]]:
        """The page was opened: shows the run that its address names, or one that was in work when it was left."""
        run = await self.past.find(request)
        nothing, idle = [gr.skip()] * len(self.names), [gr.skip()] * (4 + len(self.outputs))
        if run is None:
            yield [*nothing, *idle]
            return
        values = await asyncio.to_thread(self.past.values, run, self.pages.folder)
        inputs = deep_links.updates(self.hub, self.page, self.names, values)
        yield [*inputs, *idle]
        async with aclosing(self.past.moments(request, run)) as moments:
            async for now in moments:
                yield [*nothing, *await self.draw_moment(request, now, values.values)]

    def draw_outcome(self, task: asyncio.Future[Result]) -> list[Any]:
        """Status line, stop button, receipt and head at the end of a run."""
        hidden = gr.update(visible=False)
        problem = task.exception()
        if problem is None:
            result = task.result()
            paid = html.receipt(result.receipt, result.id, result.seed)
            return [self.draw_title(result), hidden, paid, self.head()]
        if isinstance(problem, CancelledError):
            return [html.stopped(html.earlier()), hidden, gr.skip(), gr.skip()]
        if isinstance(problem, HubError):
            return [html.error(wording.by_label(self.demo, problem), html.earlier()), hidden, gr.skip(), gr.skip()]
        raise problem

    def draw_title(self, result: Result) -> str:
        """What stands above an answer: the answer in a few words."""
        return html.done(headline(self.demo, result), result.receipt)

    async def stop(self, request: gr.Request) -> None:
        """Cancels this browser session's runs on this page; each shows by its last update that it was stopped."""
        self.runs.stop(request.session_hash or "")
