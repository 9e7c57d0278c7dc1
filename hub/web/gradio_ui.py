"""The Gradio pages: a gallery at `/` and a page per demo, built from the declarations alone."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gradio as gr

from hub import describe
from hub.engine import Engine
from hub.errors import CancelledError, HubError
from hub.jobs import Cancel
from hub.registry import Page
from hub.results import Result
from hub.spec import Choice, ImageInput, Progress, Slider
from hub.web import fields, html, snippets

EXAMPLE_CLICK = """element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-example]');
  if (button) trigger('click', {example: Number(button.dataset.example)});
});"""
DAY_S = 86_400
TICK_S = 0.25  # how often the seconds on the page move on


def build(engine: Engine) -> gr.Blocks:
    """All pages of the engine's registry in one Blocks."""
    ui = _Pages(engine)
    with gr.Blocks(title="Demo Hub", analytics_enabled=False, delete_cache=(3600, DAY_S)) as blocks:
        draw(html.masthead(engine.registry, home=True))
        cards = draw(ui.gallery())
        blocks.load(ui.gallery, outputs=cards, show_progress="hidden", queue=False, api_visibility="private")
    for page in engine.registry:
        with blocks.route(page.title, f"/{page.slug}", show_in_navbar=False):
            draw(html.masthead(engine.registry, home=False))
            if page.declared is None:
                draw(html.broken(page))
            else:
                _Page(ui, page).build(blocks)
    return blocks


def draw(value: str = "", **options: Any) -> gr.HTML:
    """HTML in the hub's own style only."""
    return gr.HTML(value, apply_default_css=False, **options)


class _Pages:
    """What all pages share: the engine, threads to wait for it in, and a folder for files Gradio serves."""

    def __init__(self, engine: Engine):
        self.engine = engine
        self.threads = ThreadPoolExecutor(engine.settings.queue_limit + 8, thread_name_prefix="page")
        self.folder = Path(tempfile.mkdtemp(prefix="demo-hub-"))

    def gallery(self) -> str:
        pages = [(page, describe.state(self.engine, page)) for page in self.engine.registry]
        return html.gallery(pages, [self.engine.results.warning] if self.engine.results.warning else [])


class _Page:
    """One demo's page: builds it, and answers its events."""

    def __init__(self, pages: _Pages, page: Page):
        self.pages, self.engine, self.page, self.demo = pages, pages.engine, page, page.demo
        self.running: dict[str, set[Cancel]] = {}  # by browser session; touched in the event loop only
        self.names = [f.name for f in self.demo.inputs] + (["weights"] if len(self.demo.weights) > 1 else [])

    # --- layout -----------------------------------------------------------------------------------

    def build(self, blocks: gr.Blocks) -> None:
        demo = self.demo
        head = draw(self.head())
        blocks.load(self.head, outputs=head, show_progress="hidden", queue=False, api_visibility="private")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                inputs = [fields.input_component(f) for f in demo.inputs]
                weights = fields.weights_choice(demo)
                inputs += [weights] if weights else []
                with gr.Row():
                    run = gr.Button("Run", variant="primary", scale=3, elem_classes="hub-run")
                    stop = gr.Button("Stop", variant="stop", scale=1, visible=False)
                chosen = self.examples()
            with gr.Column(scale=7, min_width=320):
                status = draw(html.hint(bool(demo.examples)))
                outputs = [fields.output_component(f) for f in demo.outputs]
                receipt = draw()
        self.about()
        self.code()
        self.connect(inputs, [status, stop, receipt, head, *outputs], run, stop, chosen)
        self.endpoint(inputs)

    def head(self) -> str:
        return html.title(self.page, describe.state(self.engine, self.page))

    def examples(self) -> gr.HTML | None:
        if not self.demo.examples:
            return None
        pictures = [f.name for f in self.demo.inputs if isinstance(f, ImageInput)]
        entries = [
            (next((str(e.inputs[n]) for n in pictures if n in e.inputs), None), e.title) for e in self.demo.examples
        ]
        return draw(html.examples(self.page.slug, entries), js_on_load=EXAMPLE_CLICK)

    def about(self) -> None:
        facts = describe.weights_facts(self.engine, self.page)
        if not facts and not self.demo.links:
            return
        with gr.Accordion("About this model", open=False):
            for fact in facts:
                draw(html.weights([fact]))
                if fact.card:
                    gr.Markdown(fact.card, elem_classes="hub-model-card")
            if self.demo.links:
                gr.Markdown("\n".join(f"- [{title}]({address})" for title, address in self.demo.links.items()))

    def code(self) -> None:
        with gr.Accordion("Use it from code", open=False), gr.Tabs():
            for title, language, text in snippets.all_of(self.page.slug, self.demo, self.engine.settings.port):
                with gr.Tab(title):
                    gr.Code(text, language=language, interactive=False, show_label=False, wrap_lines=True)

    # --- events -----------------------------------------------------------------------------------

    def connect(self, inputs: list[Any], outputs: list[Any], run: Any, stop: Any, chosen: Any) -> None:
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
        if quick and len(pictures) == 1 and all(not f.required for f in self.demo.inputs if f.name != self._picture()):
            triggers += [pictures[0].upload]
        gr.on(triggers, self.run, trigger_mode="multiple", **options)
        if quick and pictures:
            declared = [*self.demo.inputs, *([None] if "weights" in self.names else [])]
            # `input` and not a slider's `release`: the keyboard moves sliders too.
            changes = [
                c.input for c, f in zip(inputs, declared, strict=True) if isinstance(f, Slider | Choice) or f is None
            ]
            if changes:
                gr.on(changes, self.run_again, trigger_mode="always_last", **options)
        if chosen is not None:
            picked = chosen.click(
                self.pick, outputs=inputs, show_progress="hidden", queue=False, api_visibility="private"
            )
            picked.success(self.run, **options)
        # Not by Gradio's `cancels`: that is another stream, and the run's last progress may overtake its answer.
        stop.click(self.stop, queue=False, show_progress="hidden", api_visibility="private")

    def _picture(self) -> str:
        return next((f.name for f in self.demo.inputs if isinstance(f, ImageInput)), "")

    def pick(self, event: gr.EventData) -> Any:
        """Fills the inputs with an example's; what it leaves out goes back to its default."""
        number = event._data.get("example") if isinstance(event._data, dict) else None
        if not isinstance(number, int) or not 0 <= number < len(self.demo.examples):
            raise gr.Error("There is no such example; reload the page.", print_exception=False)
        given = self.demo.examples[number].inputs
        values: list[Any] = []
        for field in self.demo.inputs:
            value = given.get(field.name, getattr(field, "default", None))
            values.append(str(self.page.assets / value) if isinstance(field, ImageInput) and value else value)
        if "weights" in self.names:
            values.append(given.get("weights", self.demo.weights[0].name))
        return values[0] if len(values) == 1 else values

    async def run_again(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        """A parameter was changed: runs if the pictures are there."""
        if all(v is not None for f, v in zip(self.demo.inputs, values, strict=False) if isinstance(f, ImageInput)):
            async for update in self.run(request, *values):
                yield update
        else:
            yield [gr.skip()] * (4 + len(self.demo.outputs))

    async def run(self, request: gr.Request, *values: Any) -> AsyncIterator[list[Any]]:
        """One run with its stages as they happen; leaving the page or Stop cancels it."""
        begin, unchanged = time.perf_counter(), [gr.skip()] * len(self.demo.outputs)
        loop, events, cancel = asyncio.get_running_loop(), asyncio.Queue[tuple[str, Progress | None]](), Cancel()

        def on_event(stage: str, progress: Progress | None) -> None:
            loop.call_soon_threadsafe(events.put_nowait, (stage, progress))

        given = {n: v for n, v in zip(self.names, values, strict=True) if v is not None}
        call = partial(self.engine.run, self.page.slug, given, on_event=on_event, cancel=cancel)
        task = asyncio.ensure_future(loop.run_in_executor(self.pages.threads, call))
        task.add_done_callback(lambda done: done.cancelled() or done.exception())  # a run nobody waits for any more
        session = request.session_hash or ""
        self.running.setdefault(session, set()).add(cancel)
        stage, progress = "queued", None
        try:
            while not task.done():
                heard = asyncio.ensure_future(events.get())
                either: set[asyncio.Future[Any]] = {task, heard}
                await asyncio.wait(either, timeout=TICK_S, return_when=asyncio.FIRST_COMPLETED)
                if heard.done():
                    stage, progress = heard.result()
                heard.cancel()
                if not task.done():
                    step, total = (progress.step, progress.total) if progress else (0, 0)
                    line = html.status(stage, time.perf_counter() - begin, step, total)
                    yield [line, gr.update(visible=True), gr.skip(), gr.skip(), *unchanged]
            yield [*self.finish(task), *self.shown(task, unchanged)]
        finally:
            cancel.set()
            self.running[session].discard(cancel)
            if not self.running[session]:
                del self.running[session]

    def finish(self, task: asyncio.Future[Result]) -> list[Any]:
        """Status line, stop button, receipt and head at the end of a run."""
        hidden = gr.update(visible=False)
        problem = task.exception()
        if problem is None:
            result = task.result()
            paid = html.receipt(result.receipt, result.id, result.seed)
            return [html.done(result.receipt), hidden, paid, self.head()]
        if isinstance(problem, CancelledError):
            return [html.stopped(), hidden, gr.skip(), gr.skip()]
        if isinstance(problem, HubError):
            return [html.error(problem), hidden, gr.skip(), gr.skip()]
        raise problem

    def shown(self, task: asyncio.Future[Result], unchanged: list[Any]) -> list[Any]:
        if task.exception() is not None:
            return unchanged
        return fields.shown(self.demo, task.result(), self.pages.folder)

    async def stop(self, request: gr.Request) -> None:
        """Cancels this browser session's runs on this page; each tells so itself, as its last update."""
        for cancel in self.running.get(request.session_hash or "", ()):
            cancel.set()

    # --- gradio_client ----------------------------------------------------------------------------

    def endpoint(self, inputs: list[Any]) -> None:
        """`/<slug>` for gradio_client: parameters named as the inputs; the outputs in order, then the receipt."""
        outputs = [fields.api_component(f) for f in self.demo.outputs]
        answers = ", ".join(f.name for f in self.demo.outputs)
        receipt = gr.JSON(label="receipt", visible=False)
        button = gr.Button(visible=False)
        button.click(
            self.named(self.predict),
            inputs=inputs,
            outputs=[*outputs, receipt],
            api_name=self.page.slug,
            api_description=f"{self.demo.summary} Answers {answers} and a receipt.",
            concurrency_limit=None,
            show_progress="hidden",
        )

    async def predict(self, *values: Any) -> list[Any]:
        given = {n: v for n, v in zip(self.names, values, strict=True) if v is not None}
        loop = asyncio.get_running_loop()
        try:
            result = await loop.run_in_executor(self.pages.threads, partial(self.engine.run, self.page.slug, given))
        except HubError as problem:
            raise gr.Error(problem.message, title=problem.title, print_exception=False) from None
        receipt = {"id": result.id, "seed": result.seed, **snippets.receipt_json(result)}
        return [*fields.plain(self.demo, result, self.pages.folder), receipt]

    def named(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function(*values)` with a signature of the declared names, which gradio_client shows and takes."""

        async def call(*values: Any) -> Any:
            return await function(*values)

        required = {f.name for f in self.demo.inputs if f.required}
        kind, none = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
        parameters = [inspect.Parameter(n, kind, default=none if n in required else None) for n in self.names]
        # Python wants parameters without a default first; Gradio reads names and order only.
        if any(a.default is None and b.default is none for a, b in pairwise(parameters)):
            parameters = [p.replace(default=none) for p in parameters]
        call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        return call
