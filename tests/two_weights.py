"""A page with two small sets of weights whose answers differ in known ways, for the comparison through every door."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hub.hub import Hub
from hub.pages.registry import discover
from hub.settings import Settings
from tests.fakes import picture, write_weights

PAGE = """
import json
import numpy as np
from PIL import Image
from hub.spec import *


def prepare(image, best, kept, seed, least):
    return {"grey": np.asarray(image.convert("L").resize((8, 8)), np.float32)}


def present(output, image, best, kept, seed, least, config):
    side, width = config["side"], config["width"]
    flat = np.zeros((48, 64, 3), np.uint8)
    flat[:, :width] = 200
    return {
        "painted": (Image.fromarray(flat), f"painted by {side}"),
        "photo": Image.fromarray(np.full((16, 16, 3), 100 + 4 * width, np.uint8)),
        "ids": (flat[..., 0] > 0).astype(np.uint8),
        "shares": dict(config["shares"]),
        "limit": least,
        "rows": [dict(row) for row in config["rows"]],
        "boxes": [{"face": 1, "age": 30.0 + width, "x_px": 5}],
        "facts": {"seed": seed, "asked": [best, *kept], "size": {"width": width, "height": 48}},
        "words": {"said": side},
        "copies": [(image, side)] * config["copies"],
        **({"heat": image} if config["copies"] > 1 else {}),
    }


DEMO = Demo(
    title="Two sets", summary="Answers with one of two sets of weights.", task="Test",
    inputs=(ImageInput("image", "Photo"), Choice("best", "Best", ("off",), "off", options_from="label_names"),
            Choices("kept", "Kept", options_from="label_names"), Seed(),
            Slider("least", "Least", 0.0, 1.0, 0.5, 0.01, default_from="limit")),
    outputs=(
        ImageOutput("painted", "Painted"), ImageOutput("photo", "Photo", format="jpeg"), Mask("ids", "Ids"),
        Labels("shares", "Shares", line="limit"), Json("limit", "Limit"), Json("rows", "Rows", table=True),
        Json("boxes", "Boxes", table=True), Json("facts", "Facts"), Json("words", "Words"),
        Gallery("copies", "Copies"), ImageOutput("heat", "Heat", optional=True),
    ),
    load=lambda folder, device: None, prepare=prepare, infer=lambda model, items: [0] * len(items), present=present,
    weights=(Weights("one", "First <b>set</b>"), Weights("two"), Weights("gone")), version="1",
)
"""
ONE_SET = PAGE.replace('Weights("two"), Weights("gone")', "").replace("Two sets", "One set")
ONE: dict[str, Any] = {
    "side": "one",
    "width": 16,
    "copies": 1,
    "label_names": ["cat", "dog", "eel"],
    "shares": {"cat": 0.7, "dog": 0.2, "eel": 0.1},
    "limit": 0.5,
    "rows": [
        {"colour": "#ff0000", "class": "road", "percent": 60.0, "shown": True},
        {"colour": "#00ff00", "class": "tree", "percent": 40.0, "shown": True},
        {"colour": "#00ff00", "class": "tree", "percent": 1.5, "shown": True},
    ],
}
TWO: dict[str, Any] = {
    **ONE,
    "side": "two",
    "width": 32,
    "copies": 2,
    "label_names": ["cat", "dog", "fox"],
    "shares": {"dog": 0.6, "cat": 0.65, "fox": 0.05},
    "limit": 0.25,
    "rows": [
        {"colour": "#00ff00", "class": "tree", "percent": 90.0, "shown": True},
        {"colour": "#ff0000", "class": "road", "percent": 10.0, "shown": True},
    ],
}


def write(root: Path) -> Path:
    """Demos and weights under `root`, and a picture; returns the picture's path."""
    (root / "demos").mkdir()
    (root / "demos" / "pair.py").write_text(PAGE, encoding="utf-8")
    (root / "demos" / "single.py").write_text(ONE_SET, encoding="utf-8")
    write_weights(root / "weights", "one", ONE, b"1")
    write_weights(root / "weights", "two", TWO, b"2")
    path = root / "photo.png"
    picture().save(path)
    return path


def settings(root: Path) -> dict[str, str]:
    return {
        "demos_folder": str(root / "demos"),
        "weights_folder": str(root / "weights"),
        "data": str(root / "data"),
        "device": "cpu",
        "dtype": "float32",
    }


def make_hub(root: Path) -> Hub:
    chosen = Settings(**settings(root))
    return Hub(chosen, discover(Path(chosen.demos_folder)))


def plain(value: Any) -> Any:
    """As JSON has it: tuples are lists."""
    return json.loads(json.dumps(value))
