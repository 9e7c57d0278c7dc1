"""Settings from a picture: a PNG that a page with a gallery made fills in everything that made it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
from anyio import to_thread

from hub import capsules
from hub.engine import Engine
from hub.errors import HubError
from hub.registry import Page
from hub.spec import Gallery
from hub.web import deep_links
from hub.web.filled import WEIGHTS, Filled, own

LABEL = "Settings from a picture"


def wanted(page: Page) -> bool:
    return page.declared is not None and any(isinstance(f, Gallery) for f in page.declared.outputs)


def build(engine: Engine, page: Page, notice: gr.HTML, names: Sequence[str], inputs: Sequence[Any]) -> None:
    """Draws the place to drop a picture on; `notice` tells what was done with it."""

    async def dropped(path: str | None) -> list[Any]:
        if not path:
            return [gr.skip()] * (1 + len(inputs))
        filled = await to_thread.run_sync(settings, engine, page, Path(path))
        text = deep_links.told(filled, "this picture")
        return [gr.update(value=text, visible=bool(text)), *deep_links.updates(engine, page, names, filled)]

    with gr.Accordion(LABEL, open=False):
        file = gr.File(label="A PNG that was made here", file_types=[".png"], type="filepath", height=110)
        file.upload(
            dropped, inputs=[file], outputs=[notice, *inputs], show_progress="hidden", queue=False,
            api_visibility="private",
        )  # fmt: skip


def settings(engine: Engine, page: Page, path: Path) -> Filled:
    """What a picture's capsule asks for. Never raises a HubError: that becomes a problem to tell."""
    filled = Filled()
    try:
        if path.stat().st_size > engine.limits.max_bytes:
            filled.problems.append(f"The file is larger than the {engine.limits.max_bytes / 2**20:g} MB that are read.")
            return filled
        capsule, number = capsules.read(path.read_bytes())
    except HubError as error:
        filled.problems.append(error.message)
        return filled
    if capsule.get("page") != page.slug:
        filled.problems.append(f"It was made on another page: {str(capsule.get('page'))[:40]}.")
        return filled
    asked = {str(name): [value] for name, value in capsule["parameters"].items()}
    names = [w.name for w in page.demo.weights]
    if len(names) > 1 and capsule.get("weights"):
        asked[WEIGHTS] = [capsule["weights"]]
    own(engine, page, asked, filled)
    nth = f" It was picture {number + 1} of that run." if number else ""
    filled.told.append(f"Filled in as this picture was made.{nth} Run it again, or empty the seed for other pictures.")
    if capsule.get("inputs"):
        filled.told.append("It began from a picture, which is not in the file: choose that again.")
    _warn(engine, page, capsule, filled)
    return filled


def _warn(engine: Engine, page: Page, capsule: dict[str, Any], filled: Filled) -> None:
    """Tells where the same settings may give another picture now."""
    same = capsule.get("version") == page.demo.version
    try:
        name = filled.values.get(WEIGHTS) or (page.demo.weights[0].name if page.demo.weights else "")
        same = same and (not name or engine.weights.find(str(name)).digest == capsule.get("digest"))
    except HubError:
        same = False
    if not same or capsule.get("dtype") != engine.hardware().dtype_name:
        filled.told.append("The page, its weights or their precision differ from then, so the picture may differ.")
