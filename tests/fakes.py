"""Small deterministic demos, models and helpers that the engine's tests share."""

from __future__ import annotations

import gc
import json
import logging
import threading
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from hub.contract.inputs import picture as picture
from hub.contract.inputs import sound_file as sound_file
from hub.contract.inputs import video_file as video_file
from hub.execution.leases import Lease
from hub.execution.pool import ModelPool
from hub.pages.registry import Page, Registry
from hub.spec import (
    AudioInput,
    AudioOutput,
    Boxes,
    Choice,
    Choices,
    Demo,
    ImageInput,
    ImageOutput,
    Json,
    Labels,
    Mask,
    Number,
    Plot,
    Progress,
    Seed,
    Slider,
    Text,
    TextOutput,
    Toggle,
    VideoInput,
    VideoOutput,
    Weights,
)

HOSTILE = "<script>alert(1)</script>"
STRIPES = (f"thick {HOSTILE}", "thin")  # labels
PATIENCE_S = 30.0  # how long a test waits for another thread before it calls that a hang


class FakeModel:
    """Something with a size, that weak references can watch."""

    def __init__(self, name: str = "model", size: int = 10):
        self.name, self.size = name, size


def size_of(model: FakeModel) -> int:
    return model.size


class Clock:
    """Time that moves only when told to."""

    def __init__(self, now: float = 1_000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


def fake_pool(budget: int, **options: Any) -> ModelPool:
    options = {"measure": size_of, "release": lambda: None, **options}
    return ModelPool(budget, **options)


def in_threads(jobs: Iterable[Callable[[], Any]]) -> list[Any]:
    """Runs all jobs at once; returns results in order, an exception as the value it is."""
    jobs = list(jobs)
    barrier = threading.Barrier(len(jobs))

    def run(job: Callable[[], Any]) -> Any:
        barrier.wait(PATIENCE_S)
        try:
            return job()
        except Exception as error:
            return error

    with ThreadPoolExecutor(len(jobs)) as threads:
        return [future.result(PATIENCE_S * 2) for future in [threads.submit(run, job) for job in jobs]]


def wait_until(true: Callable[[], bool], what: str = "") -> None:
    """Waits for a state that another thread brings about. Fails after PATIENCE_S."""
    pause = threading.Event()
    for _ in range(int(PATIENCE_S / 0.002)):
        if true():
            return
        pause.wait(0.002)
    raise AssertionError(f"never came true: {what or true}")


@contextmanager
def fake_lease(model: Any = None) -> Any:
    yield Lease(model, False, 0.0)


@contextmanager
def nothing_collected() -> Iterator[None]:
    """Without the garbage collector and without logged tracebacks, only real references keep things alive."""
    gc.collect()
    gc.disable()
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        gc.enable()


# --- demos ----------------------------------------------------------------------------------------


@dataclass
class Calls:
    """What a fake demo's functions were called with, and what holds them up."""

    loads: int = 0
    prepares: int = 0
    batches: list[int] = field(default_factory=list)
    presents: int = 0
    hold: threading.Event | None = None  # infer waits for it
    started: threading.Event = field(default_factory=threading.Event)  # infer has begun

    @property
    def infers(self) -> int:
        return len(self.batches)


def counting_demo(calls: Calls, **changes: Any) -> Demo:
    """Doubles a number; `shown` is used by `present` alone, `seed` by `prepare`."""

    def load(folder: Path | None, device: Any) -> FakeModel:
        calls.loads += 1
        return FakeModel()

    def prepare(number: int, shown: float, seed: int) -> np.ndarray:
        calls.prepares += 1
        return np.array([number, seed], dtype=np.float64)

    def infer(model: FakeModel, items: list[np.ndarray]) -> list[np.ndarray]:
        calls.batches.append(len(items))
        calls.started.set()
        if calls.hold is not None:
            assert calls.hold.wait(PATIENCE_S)
        return [item * 2 for item in items]

    def present(output: np.ndarray, number: int, shown: float, seed: int) -> dict[str, Any]:
        calls.presents += 1
        return {"answer": {"doubled": float(output[0]), "seed": float(output[1]), "shown": shown}}

    declared: dict[str, Any] = {
        "title": "Doubler",
        "summary": "Doubles a number.",
        "task": "Arithmetic",
        "inputs": (
            Slider("number", "Number", 0, 1_000_000, 1, 1),
            Slider("shown", "Shown", 0.0, 1.0, 0.5, 0.1),
            Seed(),
        ),
        "outputs": (Json("answer", "Answer"),),
        "load": load,
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def shade_demo(**changes: Any) -> Demo:
    """Brightness of a picture: two probabilities and a mask. As small as a vision demo can be."""

    def load(folder: Path | None, device: Any) -> FakeModel:
        return FakeModel()

    def prepare(image: Image.Image, level: float) -> np.ndarray:
        return np.asarray(image.resize((16, 16)).convert("L"), np.float32) / 255

    def infer(model: FakeModel, items: list[np.ndarray]) -> list[float]:
        return [float(value) for value in np.stack(items).mean((1, 2))]

    def present(output: float, image: Image.Image, level: float) -> dict[str, Any]:
        grey = np.asarray(image.convert("L"))
        return {
            "shade": {"light": output, "dark": 1 - output},
            "mask": (grey > 255 * level).astype(np.uint8),
        }

    declared: dict[str, Any] = {
        "title": "Light or dark",
        "summary": "Says how bright a picture is.",
        "task": "Image classification",
        "inputs": (ImageInput("image", "Photo"), Slider("level", "Level", 0.0, 1.0, 0.5, 0.05)),
        "outputs": (Labels("shade", "Shade"), Mask("mask", "Light pixels")),
        "load": load,
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def colour_demo(**changes: Any) -> Demo:
    """The mean colour of a picture is its embedding; `shown` is used by `present` alone."""

    def infer(model: FakeModel, items: list[np.ndarray]) -> list[dict[str, Any]]:
        return [{"embedding": item.mean((0, 1)), "logits": item.mean()} for item in items]

    declared: dict[str, Any] = {
        "title": "Colours",
        "summary": "Says how red a picture is.",
        "task": "Image classification",
        "inputs": (ImageInput("image", "Photo"), Slider("shown", "Shown", 0.0, 1.0, 0.5, 0.1)),
        "outputs": (Labels("share", "Share"),),
        "load": lambda folder, device: FakeModel(),
        "prepare": lambda image, shown: np.asarray(image.resize((8, 8)), np.float32) / 255,
        "infer": infer,
        "present": lambda output, image, shown: {"share": {"red": min(1.0, float(output["logits"]))}},
        "similar": True,
    }
    return Demo(**{**declared, **changes})


def steps_demo(calls: Calls, steps: int = 3, **changes: Any) -> Demo:
    """A generator `infer`: counts up to `steps`, with a preview per item at each."""

    def prepare(prompt: str, seed: int) -> dict[str, Any]:
        return {"prompt": prompt, "seed": seed}

    def infer(model: Any, items: list[dict[str, Any]]) -> Any:
        calls.batches.append(len(items))
        for step in range(steps):
            yield Progress(step + 1, steps, tuple(item["prompt"] for item in items))
            calls.started.set()
            if calls.hold is not None:
                assert calls.hold.wait(PATIENCE_S)
        return [f"{item['prompt']} {item['seed']}" for item in items]

    def present(output: str, prompt: str, seed: int) -> dict[str, Any]:
        return {"text": output}

    declared: dict[str, Any] = {
        "title": "Steps",
        "summary": "Takes its time.",
        "task": "Text generation",
        "inputs": (Text("prompt", "Prompt", max_chars=50), Seed()),
        "outputs": (Json("text", "Text"),),
        "load": lambda folder, device: FakeModel(),
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def writing_demo(pause_s: float = 0.0, ended: threading.Event | None = None, **changes: Any) -> Demo:
    """Writes what it was given word by word, and then something hostile; `ended` is set when it is left before."""

    def infer(model: Any, items: list[str]) -> Any:
        parts = [f"{item} {HOSTILE}\x1b[31m".split(" ") for item in items]
        steps = max(map(len, parts))
        try:
            for step in range(1, steps + 1):
                time.sleep(pause_s)
                yield Progress(step, steps, text=tuple(" ".join(words[:step]) for words in parts))
        except GeneratorExit:
            if ended is not None:
                ended.set()
            raise
        return [" ".join(words) for words in parts]

    declared: dict[str, Any] = {
        "title": "Writes",
        "summary": "Writes word by word.",
        "task": "Text generation",
        "inputs": (Text("text", "Words"),),
        "outputs": (Json("count", "Words in it"), TextOutput("written", "Written")),
        "load": lambda folder, device: FakeModel(),
        "prepare": lambda text: text,
        "infer": infer,
        "present": lambda output, text: {"count": len(output.split()), "written": output},
    }
    return Demo(**{**declared, **changes})


def drawing_demo(calls: Calls, pause_s: float = 0.0, refused: str = "", **changes: Any) -> Demo:
    """Words become a picture: a square of the colour that they and the seed say. Refuses prompts with `refused`."""

    def infer(model: Any, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
        calls.batches.append(len(items))
        time.sleep(pause_s)
        return items

    def present(output: dict[str, Any], prompt: str, width: int, seed: int) -> dict[str, Any]:
        if refused and refused in prompt:
            raise ValueError(f"{refused} is not drawn")
        shade = zlib.crc32(f"{prompt} {seed}".encode())
        return {"picture": plain(shade % 256, shade // 256 % 256, shade // 65536 % 256, width, width)}

    declared: dict[str, Any] = {
        "title": "Pictures from words",
        "summary": "Draws a colour.",
        "task": "Text-to-image",
        "inputs": (Text("prompt", "Prompt"), Slider("width", "Width", 8, 64, 32, 1), Seed()),
        "outputs": (ImageOutput("picture", "Picture"),),
        "load": lambda folder, device: FakeModel(),
        "prepare": lambda prompt, width, seed: {"prompt": prompt, "width": width, "seed": seed},
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def registry_of(**demos: Demo) -> Registry:
    return Registry({slug: Page(slug, f"tests: {slug}", Path(), declared=demo) for slug, demo in demos.items()})


def write_weights(root: Path, name: str, config: dict[str, Any] | None = None, content: bytes = b"") -> Weights:
    """A folder of weights with one small tensor file; `content` makes its digest differ."""
    from safetensors.numpy import save_file

    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config or {}), encoding="utf-8")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# A model\n", encoding="utf-8")
    save_file({"x": np.frombuffer(content or b"\0", dtype=np.uint8)}, folder / "model.safetensors")
    return Weights(name)


def picky_demo(**changes: Any) -> Demo:
    """Paints with the ticked colours: several choices, a picture to compare, outputs that may be missing, a line."""

    def prepare(image: Image.Image, paints: tuple[str, ...], detail: str) -> np.ndarray:
        return np.asarray(image.resize((8, 8)), np.float32) / 255

    def infer(model: Any, items: list[np.ndarray]) -> list[np.ndarray]:
        return [item.mean((0, 1)) for item in items]

    def present(output: np.ndarray, image: Image.Image, paints: tuple[str, ...], detail: str) -> dict[str, Any]:
        kept = [name in paints for name in ("red", "green", "blue")]
        painted = (np.asarray(image) * np.array(kept)).astype(np.uint8) if any(kept) else None
        return {
            "painted": None if painted is None else Image.fromarray(painted),
            "shares": dict(zip(("red", "green", "blue"), map(float, output), strict=True)),
            "limit": 0.25,
            **({"facts": {"paints": list(paints)}} if detail == "much" else {}),
        }

    declared: dict[str, Any] = {
        "title": "Picky",
        "summary": "Keeps the colours you tick.",
        "task": "Image to image",
        "inputs": (
            ImageInput("image", "Photo", webcam=True),
            Choices("paints", "Paints", ("red", "green", "blue"), default=("red", "blue")),
            Choice("detail", "Detail", ("little", "much"), default="much"),
        ),
        "outputs": (
            ImageOutput("painted", "Painted", compare="image", optional=True),
            Labels("shares", "Shares", line="limit"),
            Json("limit", "Limit"),
            Json("facts", "Facts", optional=True),
        ),
        "load": lambda folder, device: FakeModel(),
        "prepare": prepare,
        "infer": infer,
        "present": present,
        "live": {"detail": "little"},
    }
    return Demo(**{**declared, **changes})


def played_demo(**changes: Any) -> Demo:
    """Turns a video and its sound round: videos, sounds and plots, in and out."""

    def prepare(film: Any, gain: float, sound: Any = None) -> dict[str, np.ndarray]:
        light = [np.asarray(frame, np.float32).mean() / 255 for _, frame in film.frames()]
        loud = 0.0 if sound is None else float(np.abs(sound).max())
        return {"light": np.array(light, np.float32), "loud": np.array([loud], np.float32)}

    def infer(model: Any, items: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        return items

    def present(output: dict[str, np.ndarray], film: Any, gain: float, sound: Any = None) -> dict[str, Any]:
        frames = [frame for _, frame in film.frames()]
        times = [at for at, _ in film.frames()]
        light = [float(level) for level in output["light"]]
        return {
            "turned": (iter(frames[::-1]), 5),
            "heard": None if sound is None else (np.asarray(sound)[::-1] * gain, 8_000),
            "light": {"x": times, "series": {f"light {HOSTILE}": light, "none": [None] * len(light)}},
            "levels": {"x": ["first", "last"], "series": {"light": [light[0], light[-1]]}},
        }

    declared: dict[str, Any] = {
        "title": "Turned round",
        "summary": "Plays a video backwards.",
        "task": "Video",
        "inputs": (
            VideoInput("film", "Film", max_seconds=5),
            AudioInput("sound", "Sound", max_seconds=5, sample_rate=8_000, microphone=True, optional=True),
            Slider("gain", "Gain", 0.0, 1.0, 0.5, 0.1),
        ),
        "outputs": (
            VideoOutput("turned", "Turned"),
            AudioOutput("heard", "Heard", optional=True),
            Plot("light", "Light", x="seconds", y="light"),
            Plot("levels", "Levels", bars=True),
        ),
        "load": lambda folder, device: FakeModel(),
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def boxes_demo(**changes: Any) -> Demo:
    """Finds `count` upright stripes, each half as sure as the one before: boxes, texts, a number and a switch."""

    def prepare(image: Image.Image, count: int, wide: bool) -> np.ndarray:
        return np.asarray(image.resize((8, 8)), np.float32) / 255

    def infer(model: Any, items: list[np.ndarray]) -> list[np.ndarray]:
        return [item.mean((0, 1)) for item in items]

    def present(output: np.ndarray, image: Image.Image, count: int, wide: bool) -> dict[str, Any]:
        step = image.width / count
        stripes = [
            {
                "label": STRIPES[number % 2],
                "score": 0.5**number,
                "box": (number * step, 0.1 * image.height, (number + (1.5 if wide else 0.75)) * step, 1e6),
            }
            for number in range(count)
        ]
        return {
            "stripes": (image, stripes),
            "notes": f"**{count}** stripes, [more](javascript:alert(1)) <b>{HOSTILE}</b> ![x](http://elsewhere/x.png)",
            "words": f"{count} stripes\n{HOSTILE}\x1b[31m",
        }

    declared: dict[str, Any] = {
        "title": "Stripes",
        "summary": "Cuts a picture into stripes.",
        "task": "Object detection",
        "inputs": (
            ImageInput("image", "Photo", webcam=True),
            Number("count", "Stripes", 3, 1, 1000, integer=True),
            Toggle("wide", "Wide"),
        ),
        "outputs": (
            Boxes("stripes", "Stripes"),
            TextOutput("notes", "Notes", markdown=True),
            TextOutput("words", "Words", folded=True),
        ),
        "load": lambda folder, device: FakeModel(),
        "prepare": prepare,
        "infer": infer,
        "present": present,
    }
    return Demo(**{**declared, **changes})


def plain(red: int, green: int, blue: int, width: int = 64, height: int = 48) -> Image.Image:
    return Image.new("RGB", (width, height), (red, green, blue))


REDS, BLUES = (plain(250, 20, 20), plain(220, 40, 30)), (plain(20, 20, 250), plain(30, 50, 220))


def skip_if_emulated(dtype: str, slug: str = "") -> None:
    """Skips bfloat16 where the processor has none: emulated, it takes a minute a page. One page stands for all,
    in the contract tests."""
    import torch

    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    if dtype == "bfloat16" and slug != "vehicle_classifier" and not native:
        pytest.skip("this processor has no bfloat16 of its own")
