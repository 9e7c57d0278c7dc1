"""Speech recognition with MODEL_NAME, a network of transformers that hears letters (CTC).

The letters it knows and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.generating.speech import spelled
from hub.kit.generating.texts import one_by_one
from hub.kit.pretrained import pretrained
from hub.spec import AudioInput, Demo, Progress, TextOutput, Weights

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

RATE = 16_000  # samples a second, as the network learnt them


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForCTC"], ["AutoFeatureExtractor", "AutoTokenizer"])


def prepare(sound: NDArray[Any]) -> NDArray[Any]:
    """The samples as they are. The network's own feature extractor, which `infer` has, does the rest."""
    return sound


def infer(model: Any, items: list[NDArray[Any]]) -> Generator[Progress, None, list[str]]:
    """The text of each sound; it is shown as it grows, and can be stopped after each half minute."""
    return (yield from one_by_one(items, lambda sound: spelled(model, sound, RATE)))


def present(output: str, sound: NDArray[Any]) -> dict[str, Any]:
    return {"text": output}


DEMO = Demo(
    title="TITLE",
    summary="Writes down what is said in a sound.",
    task="Speech recognition",
    inputs=(AudioInput("sound", "Sound", max_seconds=120, sample_rate=RATE, microphone=True),),
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
