"""Audio classification with MODEL_NAME, a network of transformers: it says what is heard.

The labels and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import label_names, pretrained, sound_scores
from hub.spec import AudioInput, Demo, Labels, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray

RATE = 16_000  # samples a second, as the network learnt them


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForAudioClassification"], ["AutoFeatureExtractor"])


def prepare(sound: NDArray[Any]) -> NDArray[Any]:
    """The samples as they are. The network's own feature extractor, which `infer` has, does the rest."""
    return sound


def infer(model: Any, items: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """A probability for each label; of a sound of more than ten seconds what its parts say on average."""
    return sound_scores(model, items, RATE)


def present(output: NDArray[Any], sound: NDArray[Any], config: Mapping[str, Any]) -> dict[str, Any]:
    scores = [float(score) for score in output]
    return {"labels": dict(zip(label_names(config, range(len(scores))), scores, strict=True))}


DEMO = Demo(
    title="TITLE",
    summary="Says which label fits a sound.",
    task="Audio classification",
    inputs=(AudioInput("sound", "Sound", max_seconds=60, sample_rate=RATE, microphone=True),),
    outputs=(Labels("labels", "Labels"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
)
