"""Pages whose code takes a while, ends its process, hangs or raises, for the tests of where models run."""

from __future__ import annotations

PAGES = {
    "steps": """
def infer(model, items):
    for step in range(1, 201):
        time.sleep(float(items[0]) / 200)
        yield Progress(step, 200)
    return [item * 2 for item in items]
""",
    "deadly": """
def infer(model, items):
    if items[0] == 13:
        os._exit(9)
    return [item * 2 for item in items]
""",
    "hanging": """
def infer(model, items):
    time.sleep(600 if items[0] == 13 else 0)
    return [item * 2 for item in items]
""",
    "writing": """
def infer(model, items):
    for step in range(1, 21):
        time.sleep(0.05)
        yield Progress(step, 20, text=tuple("x" * step for _ in items))
    return [item * 2 for item in items]
""",
    "raising": """
def infer(model, items):
    raise SystemExit("away") if items[0] == 13 else ValueError("no such thing")
""",
}
TEXT = """import os
import time
from hub.spec import Demo, Json, Progress, Slider
{infer}
DEMO = Demo(
    title="{slug}", summary="A page for tests.", task="Test",
    inputs=(Slider("number", "Number", 0.0, 100.0, step=0.01, default=1.0),),
    outputs=(Json("double", "Double"),),
    load=lambda folder, device: object(),
    prepare=lambda number: number, infer=infer, present=lambda output, number: {{"double": output}},
)
"""
