"""Drawing on an input's picture: a panel below it, by whose script what is drawn gets into the component that takes it.

Boxes and points are written into their text field. A painted mask is uploaded as any picture is, and named by an event.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from hub.errors import HubError
from hub.pages.hints import Hint
from hub.people.users import Caller
from hub.spec import Demo, ImageInput, PaintedMask
from hub.web.gradio_door.refusals import Refusal
from hub.web.gradio_ui.blocks import draw
from hub.web.middleware import guard
from hub.web.parts.pieces import piece, script

SCRIPTS = (
    "".join(str(script(f"{name}.js")) for name in ("files/places", "gradio/draw"))
    + "\ntendDrawing(element, {upload, trigger});"
)
# Both values are those of after the event, whichever of the two changed.
TELLS = "(picture, drawn) => {{ hubDrawnOn({name}, picture, drawn); return []; }}"
Find = Callable[[Caller, str], Path]  # a path that a page names -> the file, where it is this caller's


class Drawing:
    """One page's panels."""

    def __init__(self, demo: Demo, find: Find | None):
        self.demo, self.find = demo, find
        self.hints = {field.on: field for field in demo.inputs if isinstance(field, Hint)}
        self._panels: dict[str, gr.HTML] = {}

    def build(self, field: ImageInput) -> None:
        """Draws the panel of a picture that is drawn on, which is empty until there is a picture."""
        hint = self.hints.get(field.name)
        if hint is not None:
            panel = partial(piece, "drawing", "panel", field.draw, field.name, hint.name, field.draw_most, field.help)
            self._panels[field.name] = draw(panel, js_on_load=SCRIPTS, elem_classes="hub-draw-place")

    def connect(self, inputs: Sequence[Any]) -> None:
        """`inputs` are the page's components."""
        components = dict(zip((f.name for f in self.demo.inputs), inputs, strict=False))
        for name, panel in self._panels.items():
            hint = self.hints[name]
            both = [components[name], components[hint.name]]
            tells = TELLS.format(name=json.dumps(name))
            gr.on([one.change for one in both], None, inputs=both, js=tells, api_visibility="private")
            if isinstance(hint, PaintedMask):
                panel.click(
                    self.take_mask, outputs=both[1], queue=False, show_progress="hidden", api_visibility="private"
                )

    async def take_mask(self, request: gr.Request, event: gr.EventData) -> str | None:
        """A mask was painted and uploaded; or all of it was wiped away."""
        path = event._data.get("path") if isinstance(event._data, dict) else None
        if not isinstance(path, str) or not path or self.find is None:
            return None
        try:
            return str(await to_thread.run_sync(self.find, guard.caller(request.request), path))
        except HubError as error:
            raise Refusal(error) from None
