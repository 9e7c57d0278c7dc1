"""Speech recognition with MODEL_NAME, a Whisper of transformers: it writes what it hears.

The words it knows, its languages and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.generating.speech import AUTO, transcribed
from hub.kit.generating.texts import one_by_one
from hub.kit.pretrained import pretrained
from hub.spec import AudioInput, Choice, Demo, Progress, TextOutput, Weights

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

RATE = 16_000  # samples a second, as the network learnt them


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForSpeechSeq2Seq"], ["AutoFeatureExtractor", "AutoTokenizer"])


def prepare(sound: NDArray[Any], language: str, task: str) -> dict[str, Any]:
    """The samples as they are. The network's own feature extractor, which `infer` has, does the rest."""
    return {"sound": sound, "language": language, "task": task}


def infer(model: Any, items: list[dict[str, Any]]) -> Generator[Progress, None, list[str]]:
    """The text of each sound; it is shown as it grows, and can be stopped after each token."""
    return (yield from one_by_one(items, lambda item: transcribed(model, rate=RATE, **item)))


def present(output: str, sound: NDArray[Any], language: str, task: str) -> dict[str, Any]:
    return {"text": output}


DEMO = Demo(
    title="TITLE",
    summary="Writes down what is said in a sound.",
    task="Speech recognition",
    inputs=(
        AudioInput("sound", "Sound", max_seconds=120, sample_rate=RATE, microphone=True),
        Choice("language", "Language", (AUTO,), AUTO, "What is spoken; auto: it finds out", options_from="languages"),
        Choice("task", "Task", ("transcribe",), "transcribe", "translate: into English", options_from="tasks"),
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
