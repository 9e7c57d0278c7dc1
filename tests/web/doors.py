"""Small fake demos, and the app that has only the REST door."""

from __future__ import annotations

import io
import threading
import time
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.routing import BaseRoute
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.spec import (
    Choice,
    Demo,
    Example,
    Gallery,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Progress,
    Seed,
    Slider,
    Text,
)
from hub.web import server
from hub.web.api import openapi
from hub.web.mcp.mount import Closed

BEGUN = threading.Event()  # set when the slow demo's infer has begun
STOPPED = threading.Event()  # set when it was stopped early


def _nothing(folder: Any, device: Any) -> None:
    return None


def _present(output: float, image: Image.Image, threshold: float, count: int, view: str, seed: int) -> dict[str, Any]:
    grey = np.asarray(image.convert("L"))
    return {
        "picture": (image, "as it came"),
        "mask": (grey > 255 * threshold).astype(np.uint8),
        "shares": {"light": output / 255, "dark": 1 - output / 255},
        "facts": [{"view": view, "seed": seed, "percent": 50.0}],
        "copies": [(image, f"copy {n}") for n in range(count)],
    }


SHADES = Demo(
    title="Shades",
    summary="Tells light from dark.",
    task="Image classification",
    inputs=(
        ImageInput("image", "Photo", "Any photo."),
        Slider("threshold", "Threshold", 0.0, 1.0, 0.5, 0.05),
        Slider("count", "Copies", 1, 4, 2, 1, unit="pictures"),
        Choice("view", "View", ("front", "back"), default="front"),
        Seed(),
    ),
    outputs=(
        ImageOutput("picture", "Picture", format="jpeg"),
        Mask("mask", "Mask"),
        Labels("shares", "Shares"),
        Json("facts", "Facts", table=True),
        Gallery("copies", "Copies"),
    ),
    load=_nothing,
    prepare=lambda image, threshold, count, view, seed: np.asarray(image.resize((8, 8)), np.float32),
    infer=lambda model, items: [float(item.mean()) for item in items],
    present=_present,
    examples=(Example({"image": "grey.png", "threshold": 0.2}, "A grey square"),),
)


def _slowly(model: None, items: list[float]) -> Any:
    end = time.monotonic() + max(items)
    try:
        while time.monotonic() < end:
            BEGUN.set()
            time.sleep(0.01)
            yield Progress(1, 2)
    except GeneratorExit:
        STOPPED.set()
        raise
    return items


SLOW = Demo(
    title="Slow",
    summary="Takes its time.",
    task="Test",
    inputs=(Text("prompt", "Prompt", default="hello"), Slider("seconds", "Seconds", 0.0, 60.0, 0.0, 0.1, unit="s")),
    outputs=(Json("said", "Said"),),
    load=_nothing,
    prepare=lambda prompt, seconds: seconds,
    infer=_slowly,
    present=lambda output, prompt, seconds: {"said": prompt},
)


def fail(*arguments: Any, **named: Any) -> Any:
    raise ValueError("a bug in the demo")


def variant(demo: Demo, **changes: Any) -> Demo:
    return replace(demo, **changes)


def png(width: int = 24, height: int = 16, colour: Any = "teal") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "PNG")
    return file.getvalue()


def become(client: TestClient, cookies: dict[str, str] | None) -> None:
    """The client is another browser from now on."""
    client.cookies.clear()
    client.cookies.update(cookies or {})


def app_of(hub: Hub) -> FastAPI:
    """All routes of the hub but MCP and the pages of Gradio and Streamlit; no layers."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.router.routes[:0] = server.routes(hub, Closed())
    app.openapi = partial(openapi.of_hub, hub)  # type: ignore[method-assign]
    return app


def streamlit_routes() -> list[BaseRoute]:
    """All that Streamlit would mount. There is one runtime in a process, which another test may have made."""
    from streamlit.runtime import Runtime
    from streamlit.starlette import App

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Runtime, "_instance", None)
        return list(App("streamlit_app.py")._build_starlette_app().routes)
