"""Text classification with MODEL_NAME, a network of transformers.

The labels and the words it knows come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.pretrained import label_names, label_scores, pretrained
from hub.spec import Demo, Labels, Text, Weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import torch
    from numpy.typing import NDArray


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForSequenceClassification"], ["AutoTokenizer"])


def prepare(text: str) -> str:
    """The text as it is. The network's own tokenizer, which `infer` has, makes numbers of it."""
    return text


def infer(model: Any, items: list[str]) -> list[NDArray[Any]]:
    return label_scores(model, items)


def present(output: NDArray[Any], text: str, config: Mapping[str, Any]) -> dict[str, Any]:
    scores = [float(score) for score in output]
    return {"labels": dict(zip(label_names(config, range(len(scores))), scores, strict=True))}


DEMO = Demo(
    title="TITLE",
    summary="Says which label fits a text.",
    task="Text classification",
    inputs=(Text("text", "Text", max_chars=5000, lines=4),),
    outputs=(Labels("labels", "Labels"),),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
)
