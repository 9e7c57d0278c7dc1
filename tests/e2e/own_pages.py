"""Pages of the tests' own: slow ones whose steps, frames and runs can be counted; one that marks places."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.served import Served

STEP_S = 0.1  # of the page `slow`
FRAME_S = 0.1  # of the page `eye`, for each frame
OTHERS = 13  # more pages, so that the gallery has a search

SLOW = f"""
import threading, time
from hub.spec import Demo, Json, Progress, Seed, Slider, Text

def load(folder, device):
    time.sleep(1.0)
    return object()

def prepare(prompt, steps, seed):
    return {{"prompt": prompt, "steps": steps, "seed": seed}}

def infer(model, items):
    for step in range(items[0]["steps"]):
        time.sleep({STEP_S})
        yield Progress(step + 1, items[0]["steps"])
    return [item["prompt"].upper() for item in items]

def present(output, prompt, steps, seed):
    return {{"answer": {{"text": output, "seed": seed}}}}

DEMO = Demo(
    title="Slow", summary="Counts slowly.", task="Text", inputs=(Text("prompt", "Prompt"),
    Slider("steps", "Steps", 1, 600, 600, 1), Seed()), outputs=(Json("answer", "Answer"),),
    load=load, prepare=prepare, infer=infer, present=present, more=("steps",),
)
"""

EYE = f"""
import threading, time
from hub.spec import Choice, Demo, ImageInput, ImageOutput, Json

SEEN = {{"runs": 0, "now": 0, "most": 0}}
LOCK = threading.Lock()

def infer(model, items):
    with LOCK:
        SEEN["now"] += len(items)
        SEEN["most"] = max(SEEN["most"], SEEN["now"])
        SEEN["runs"] += 1
        seen = dict(SEEN)
    time.sleep({FRAME_S})
    with LOCK:
        SEEN["now"] -= len(items)
    return [{{**item, **seen}} for item in items]

def present(output, image, quality):
    return {{"seen": {{"quality": quality, **output}}, "turned": image.transpose(0)}}

DEMO = Demo(
    title="Slow eye", summary="Looks slowly.", task="Test",
    inputs=(ImageInput("image", "Photo", webcam=True), Choice("quality", "Quality", ("best", "fast"), "best")),
    outputs=(ImageOutput("turned", "Turned", format="jpeg"), Json("seen", "Seen")),
    load=lambda folder, device: object(), prepare=lambda image, quality: {{"level": image.getpixel((0, 0))[0]}},
    infer=infer, present=present, live={{"quality": "fast"}},
)
"""


MARKS = """
from hub.spec import Boxes, Demo, ImageInput, Json

def present(output, image):
    points = [{"point": name, "x": 40.0 * n + 20, "y": 30.0} for n, name in enumerate(("left", "middle", "right"))]
    return {"things": (image, [{"label": "car", "score": 0.9, "box": [10, 60, 60, 90]}]), "points": points}

DEMO = Demo(
    title="Marks", summary="Marks places.", task="Test", inputs=(ImageInput("image", "Photo"),),
    outputs=(Boxes("things", "Things"), Json("points", "Points", table=True)),
    load=lambda folder, device: object(), prepare=lambda image: 0, infer=lambda model, items: items, present=present,
)
"""


@dataclass(frozen=True)
class OwnPages:
    """A hub that serves them, and its data folder."""

    served: Served
    data: Path

    @property
    def url(self) -> str:
        return self.served.url


def write(folder: Path) -> None:
    """Puts the pages into a folder for `--demos-folder`."""
    (folder / "slow.py").write_text(SLOW)
    (folder / "eye.py").write_text(EYE)
    (folder / "marks.py").write_text(MARKS)
    for number in range(OTHERS):
        (folder / f"other_{number}.py").write_text(SLOW.replace('"Slow"', f'"Other {number}"'))
