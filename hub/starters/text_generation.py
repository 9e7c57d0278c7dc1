"""Text generation with MODEL_NAME, a network of transformers: it writes on, word by word.

The words it knows come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.generating.texts import one_by_one, written
from hub.kit.pretrained import pretrained
from hub.spec import Demo, Progress, Seed, Slider, Text, TextOutput, Weights

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import torch


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForCausalLM"], ["AutoTokenizer"])


def prepare(text: str, length: int, temperature: float, seed: int) -> dict[str, Any]:
    """The text as it is. The network's own tokenizer, which `infer` has, makes numbers of it."""
    return {"text": text, "length": length, "temperature": temperature, "seed": seed}


def infer(model: Any, items: list[dict[str, Any]]) -> Generator[Progress, None, list[str]]:
    """Each text with what the network adds to it; it is shown as it grows, and can be stopped after each token."""
    return (yield from one_by_one(items, lambda item: written(model, **item)))


def present(output: str, text: str, length: int, temperature: float, seed: int) -> dict[str, Any]:
    return {"text": output}


DEMO = Demo(
    title="TITLE",
    summary="Writes on from the beginning of a text.",
    task="Text generation",
    inputs=(
        Text("text", "Text", "How it begins, or what is asked", max_chars=4000, lines=4),
        Slider("length", "Longest answer", 10, 500, 100, 10, unit="tokens", help="A token is a word or a part of one"),
        Slider("temperature", "Temperature", 0.0, 2.0, 0.7, 0.1, help="0: always the likeliest word; higher surprises"),
        Seed(),
    ),
    outputs=(TextOutput("text", "Text"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=1,
)
