"""The door for gradio_client: `/<slug>`, with parameters named as the inputs."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import Executor
from contextlib import aclosing
from contextvars import copy_context
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from hub.engine.compare import compare, figures
from hub.engine.jobs import Cancel, text_so_far
from hub.errors import HubError
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.results.result import Result
from hub.spec import Demo, Progress, Slider
from hub.web.gradio_door.refusals import Refusal
from hub.web.gradio_ui import fields
from hub.web.gradio_ui.runs import Runs
from hub.web.middleware import guard
from hub.web.parts import snippets

log = logging.getLogger(__name__)
SIDES = ("weights_a", "weights_b")


def add(hub: Hub, threads: Executor, folder: Path, page: Page, names: Sequence[str], inputs: Sequence[Any]) -> None:
    """Adds the endpoint: it answers the outputs in order, then the receipt. Files are written to `folder`."""
    demo = page.demo
    names, inputs = _asides_last(demo, names, inputs)

    async def predict(*values: Any) -> list[Any]:
        *values, progress = values  # type: ignore[assignment]  # Gradio puts it where the signature has it: last
        inputs_by_name = {n: v for n, v in zip(names, values, strict=True) if v is not None}
        cancel, context = Cancel(), copy_context()

        def hear(stage: str, now: Progress | None) -> None:
            # From the engine's thread, with the context by which Gradio knows whose progress it is.
            step = (now.step, now.total) if now else None
            context.copy().run(progress, step, desc=stage, unit="steps")

        run = partial(hub.engine.run, page.slug, inputs_by_name, on_event=hear, cancel=cancel, caller=_caller())
        try:
            result = await asyncio.get_running_loop().run_in_executor(threads, run)
        except HubError as problem:
            raise Refusal(problem) from None
        finally:
            cancel.set()  # a client that cancels its job ends this coroutine, and so the run
        return await answer(result)

    async def write(*values: Any) -> AsyncIterator[list[Any]]:
        """As `predict`, of a page that writes: its text so far, as often as there is more of it, then the answer."""
        *values, progress = values  # type: ignore[assignment]
        inputs_by_name = {n: v for n, v in zip(names, values, strict=True) if v is not None}
        who, told = _caller(), ""

        def work(hear: OnEvent, cancel: Cancel) -> Result:
            return hub.engine.run(page.slug, inputs_by_name, on_event=hear, cancel=cancel, caller=who)

        async with aclosing(Runs(threads).follow("", work)) as moments:  # left where a client cancels its job
            async for now in moments:
                if now.ended is not None:
                    try:
                        yield await answer(now.ended.result())
                    except HubError as problem:
                        raise Refusal(problem) from None
                    return
                stage, step = now.last_event or ("queued", None)
                progress((step.step, step.total) if step else None, desc=stage, unit="steps")
                if (text := text_so_far(step)) != told:
                    told = text
                    yield [*[text if f.name == writes else None for f in kinds.of_client(demo)], None]

    async def answer(result: Result) -> list[Any]:
        # In a thread: it writes files.
        plain = await asyncio.get_running_loop().run_in_executor(threads, fields.fill_api_outputs, demo, result, folder)
        return [*plain, _receipt(result)]

    writes = kinds.written_output(demo)
    outputs = [fields.api_component(f) for f in kinds.of_client(demo)]
    answers = ", ".join(f.name for f in kinds.of_client(demo))
    more = " While it runs, a job's outputs are the text so far." if writes else ""
    gr.Button(visible=False).click(
        _with_signature(
            write if writes else predict, names, {f.name for f in demo.inputs if f.required}, progress=True
        ),
        inputs=_client_inputs(demo, names, inputs),
        outputs=[*outputs, gr.JSON(label="receipt", visible=False)],
        api_name=page.slug,
        api_description=f"{demo.summary} Answers {answers} and a receipt.{more}",
        concurrency_limit=None,
        show_progress="hidden",
    )


def add_compare(
    hub: Hub, threads: Executor, folder: Path, page: Page, inputs: Sequence[Any], sides: Sequence[Any]
) -> None:
    """Adds `/<slug>_compare`: the outputs of A, those of B, then what differs with both receipts."""
    demo, name = page.demo, f"{page.slug}_compare"
    if name in hub.registry.pages:
        log.warning("%s has no endpoint for comparisons: another demo is called %s", page.slug, name)
        return
    declared = [f.name for f in demo.inputs]
    names, components = _asides_last(demo, [*declared, *SIDES], [*inputs[: len(declared)], *sides])

    async def predict(*values: Any) -> list[Any]:
        inputs_by_name = {n: v for n, v in zip(names, values, strict=True) if v is not None}
        a, b = (inputs_by_name.pop(side, None) or "" for side in SIDES)
        run = partial(compare, hub.engine, page.slug, inputs_by_name, a, b, caller=_caller())
        try:
            comparison = await asyncio.get_running_loop().run_in_executor(threads, run)
        except HubError as problem:
            raise Refusal(problem) from None
        difference = {"a": _receipt(comparison.a), "b": _receipt(comparison.b), **figures(comparison)}
        return [
            answer
            for result in (comparison.a, comparison.b)
            for answer in fields.fill_api_outputs(demo, result, folder)
        ] + [difference]

    outputs = [fields.api_component(f) for _ in sides for f in kinds.of_client(demo)]
    answers = ", ".join(f.name for f in kinds.of_client(demo))
    gr.Button(visible=False).click(
        _with_signature(predict, names, {f.name for f in demo.inputs if f.required}),
        inputs=_client_inputs(demo, names, components),
        outputs=[*outputs, gr.JSON(label="comparison", visible=False)],
        api_name=name,
        api_description=f"Two sets of weights on the same inputs: {answers} of A, the same of B, and what differs.",
        concurrency_limit=None,
        show_progress="hidden",
    )


def _asides_last(demo: Demo, names: Sequence[str], inputs: Sequence[Any]) -> tuple[list[str], list[Any]]:
    """The inputs with those last that ask for what gradio_client does not get: programs count what was there before."""
    asides = {f.name for f in demo.outputs} - {f.name for f in kinds.of_client(demo)}
    order = sorted(range(len(names)), key=lambda n: names[n] in asides)
    return [names[n] for n in order], [inputs[n] for n in order]


def _client_inputs(demo: Demo, names: Sequence[str], inputs: Sequence[Any]) -> list[Any]:
    """The page's components by their names; but an empty one where each set of weights has its default.

    A client sends the value of a component that it leaves out: that would be the first weights' default to all.
    """
    own = {f.name: f for f in demo.inputs if isinstance(f, Slider) and f.default_from}
    return [
        fields.NumberField(label=own[name].label, visible=False) if name in own else component
        for name, component in zip(names, inputs, strict=True)
    ]


def _caller() -> Caller:
    """Who calls. Gradio knows the request by the task, so that the signature keeps to the inputs."""
    request = LocalContext.request.get(None)
    return guard.caller(request.request if request else None)


def _receipt(result: Result) -> dict[str, Any]:
    return {"id": result.id, "seed": result.seed, **snippets.receipt_json(result)}


def _with_signature(
    function: Callable[..., Any], names: Sequence[str], required: set[str], progress: bool = False
) -> Callable[..., Any]:
    """`function(*values)` with a signature of the declared names, which gradio_client shows and takes.

    `progress`: a tracker follows the values, which Gradio fills in and nobody sees.
    """

    async def ask(*values: Any) -> Any:
        return await function(*values)

    async def follow(*values: Any) -> AsyncIterator[Any]:
        async with aclosing(function(*values)) as answers:
            async for answer in answers:
                yield answer

    call: Any = follow if inspect.isasyncgenfunction(function) else ask
    kind, none = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.empty
    parameters = [inspect.Parameter(n, kind, default=none if n in required else None) for n in names]
    # Python wants parameters without a default first; Gradio reads names and order only.
    if any(a.default is None and b.default is none for a, b in pairwise(parameters)):
        parameters = [p.replace(default=none) for p in parameters]
    if progress:
        parameters.append(inspect.Parameter("progress", kind, default=gr.Progress()))
    call.__signature__ = inspect.Signature(parameters)
    made: Callable[..., Any] = call
    return made
