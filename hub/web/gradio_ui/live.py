"""Live mode of a page with a camera: each frame through `Engine.run`, the answers beside it, nothing kept."""

from __future__ import annotations

import asyncio
import base64
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import gradio as gr
from cachetools import LRUCache
from gradio.data_classes import ImageData
from markupsafe import Markup

from hub.errors import HubError
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Picture, Result
from hub.spec import Boxes, Demo, ImageInput, ImageOutput, Json, Labels, TextOutput
from hub.texts import say, sentence
from hub.web.gradio_ui import blocks, fields
from hub.web.gradio_ui.lanes import Lanes, Meter
from hub.web.middleware import guard
from hub.web.parts import html, wording
from hub.web.parts.pieces import piece

FRAME_EVERY_S = 0.1  # how often the browser offers a frame; what cannot be answered in time is dropped
TABS = 4096  # open pages whose rate is remembered
CAMERA = {"video": {"width": {"ideal": 640}, "height": {"ideal": 480}, "facingMode": {"ideal": "environment"}}}

# One click rather than three: Gradio's own buttons, to allow the camera and to begin, are pressed by the switch.
START = """(on) => {
  if (!on) return;
  let tries = 0, asked = false;
  const timer = setInterval(() => {
    const box = document.querySelector(".hub-camera"), begin = box?.querySelector(".capture-button");
    if (begin && box.querySelector("video")?.videoWidth) begin.click();
    else if (box && !begin && !asked) {
      const ask = [...box.querySelectorAll("button")].find((one) => !one.matches(".upload-container, .icon-button"));
      asked = Boolean(ask);
      ask?.click();
    }
    if (++tries > 300 || (begin && box.querySelector("video")?.videoWidth)) clearInterval(timer);
  }, 100);
}"""


def can_be_live(demo: Demo) -> bool:
    """Whether a frame alone is enough for an answer, and that answer comes in one step."""
    pictures = [f for f in demo.inputs if isinstance(f, ImageInput)]
    alone = (
        len(pictures) == 1
        and pictures[0].webcam
        and not pictures[0].draw
        and not any(f.required for f in demo.inputs if f not in pictures)
    )
    return alone and not inspect.isgeneratorfunction(demo.infer)


def _as_data_url(self: Any, picture: Picture | None) -> ImageData | None:
    """An encoded picture as it is, with no file."""
    if picture is None:
        return None
    return ImageData(url=f"data:{picture.media_type};base64,{base64.b64encode(picture.data).decode()}")


View = fields.subclass_component(gr.Image, "View", postprocess=_as_data_url)


class Live:
    """One page's switch, camera and view. Draws nothing where the page has no live mode."""

    def __init__(self, hub: Hub, threads: Any, page: Page, names: list[str]):
        self.hub, self.threads, self.page, self.names = hub, threads, page, names
        self.demo = page.demo
        self.wanted = can_be_live(self.demo)
        self.lanes = Lanes()
        self._on: LRUCache[str, Meter] = LRUCache(TABS)  # open pages in live mode; touched in the event loop only
        self.components: list[Any] = []

    def is_on(self, request: gr.Request) -> bool:
        return (request.session_hash or "") in self._on

    # --- layout -----------------------------------------------------------------------------------

    def camera(self, field: ImageInput) -> None:
        """Draws the camera in the picture's place, hidden until it is switched on."""
        self.feed = fields.Upload(
            label=_live_label(field), streaming=True, sources=["webcam"], type="filepath", image_mode=None,
            height=fields.INPUT_HEIGHT, visible=False, elem_classes="hub-camera",
            webcam_options=gr.WebcamOptions(mirror=False, constraints=CAMERA),
        )  # fmt: skip

    def draw_switch(self) -> None:
        """Draws what switches the camera on."""
        self.switch = gr.Checkbox(
            label="Live camera", info="Answers what the camera sees, again and again. Nothing of it is kept.",
            container=False, elem_classes="hub-live-switch",
        )  # fmt: skip

    def view(self) -> None:
        """Draws where the answers are shown."""
        with gr.Column(visible=False) as self.column:
            self.status = blocks.draw(html.live_waiting)
            pictures = [f for f in self.demo.outputs if isinstance(f, ImageOutput | Boxes)]
            self.picture = pictures[0] if pictures else None
            self.components = [self.status]
            if self.picture is not None:
                self.components.append(
                    View(label=self.picture.label, interactive=False, buttons=["fullscreen"], type="filepath",
                         visible=not self.picture.optional, alt_text=_live_label(self.picture),
                         elem_classes="hub-picture")
                )  # fmt: skip
            self.components.append(gr.HTML("", apply_default_css=False))

    def connect(self, inputs: list[Any], still: list[Any], head: Any, draw_head: Callable[[], str]) -> None:
        """`inputs` as the page's, `still`: what live mode takes the place of, the picture's input first.

        `head` is drawn anew by `draw_head` once frames are answered: the model is in memory then.
        """
        if not self.wanted:
            return
        self.still, self.draw_head = len(still), draw_head
        options: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        turned = self.switch.input(
            self.turn,
            inputs=self.switch,
            outputs=[self.column, self.feed, self.status, *still],
            queue=False,
            **options,
        )
        turned.success(None, inputs=self.switch, js=START, **options)
        self.feed.stream(
            self.frame,
            inputs=[self.feed if isinstance(c, fields.Upload) else c for c in inputs],
            outputs=[head, *self.components],
            stream_every=FRAME_EVERY_S,
            time_limit=None,
            concurrency_limit=None,
            **options,
        )

    # --- events -----------------------------------------------------------------------------------

    async def turn(self, on: bool, request: gr.Request) -> list[Any]:
        """The switch was moved."""
        tab = request.session_hash or ""
        if on:
            self._on[tab] = Meter()
        else:
            self._on.pop(tab, None)
        feed = gr.update(visible=on, value=None)
        return [gr.update(visible=on), feed, html.live_waiting(), *[gr.update(visible=not on)] * self.still]

    async def frame(self, request: gr.Request, *values: Any) -> list[Any]:
        """Answers one frame, unless a newer one comes before its turn."""
        inputs = {n: v for n, v in zip(self.names, values, strict=True) if v is not None} | dict(self.demo.live)
        tab, unchanged = request.session_hash or "", [gr.skip()] * (1 + len(self.components))
        run = partial(self.hub.engine.run, self.page.slug, inputs, kind="live", caller=guard.caller(request.request))
        loop = asyncio.get_running_loop()
        try:
            result = await self.lanes.run(tab, lambda: loop.run_in_executor(self.threads, run))
        except HubError as problem:
            return [gr.skip(), html.error(wording.by_label(self.demo, problem)), *unchanged[2:]]
        if result is None:
            return unchanged
        rate = self._on.setdefault(tab, Meter()).tick()
        began = rate is None  # the model is in memory now
        line = html.live(headline(self.demo, result), rate, result.receipt)
        answer: list[Any] = [self.draw_head() if began else gr.skip(), line]
        if self.picture is not None:
            answer.append(self.draw_view(self.picture, result))
        return [*answer, self.draw_panels(result)]

    def draw_view(self, field: ImageOutput | Boxes, result: Result) -> Any:
        """The picture with what it says of itself; an optional one that a frame has not is gone."""
        if field.name not in result.pictures:
            return gr.update(visible=False, value=None)
        words = wording.picture_words(field, result)
        return gr.update(
            visible=True, value=result.pictures[field.name][0], label=words, alt_text=say("{name}, live", name=words)
        )

    def draw_panels(self, result: Result) -> Markup:
        """Labels, tables and values, one below the other."""
        values, panels = result.values, list[Markup]()
        for field in kinds.on_page(self.demo):
            if field.name not in values:
                continue
            value = values[field.name]
            if isinstance(field, Labels):
                panels.append(html.panel(field, value, values.get(field.line)))
            elif isinstance(field, TextOutput):
                panels.append(html.panel(field, value))
            elif kinds.is_table(field):
                panels += [html.panel(field, value)] if value else []
            elif isinstance(field, Json):
                panels.append(piece("comparison", "panel", field.label, html.json_text(value)))
        return piece("run", "live_panels", panels)


def _live_label(field: ImageInput | ImageOutput | Boxes) -> str:
    return sentence("{name}, live", name=sentence(field.label))
