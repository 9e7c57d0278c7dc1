"""Visual question answering with MODEL_NAME, a network of transformers: it is asked about a picture.

The words it knows and the preprocessing come with the weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hub.kit.generating.texts import answers
from hub.kit.pretrained import pixels_of, pretrained
from hub.spec import Demo, ImageInput, Labels, Text, TextOutput, Weights

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from PIL import Image


def load(folder: Path, device: torch.device) -> Any:
    return pretrained(folder, ["AutoModelForVisualQuestionAnswering"], ["AutoProcessor"])


def prepare(image: Image.Image, question: str) -> dict[str, Any]:
    """The picture, [height, width, 3]. The network's own processor, which `infer` has, does the rest."""
    return {"pixels": pixels_of(image), "question": question}


def infer(model: Any, items: list[dict[str, Any]]) -> list[dict[str, float]]:
    """The likeliest answers with their probabilities; of a network that writes its answer, that one alone, with 1."""
    return [answers(model, item["pixels"], item["question"]) for item in items]


def present(output: dict[str, float], image: Image.Image, question: str) -> dict[str, Any]:
    return {"answer": next(iter(output), ""), "answers": output if len(output) > 1 else None}


DEMO = Demo(
    title="TITLE",
    summary="Answers questions about a picture.",
    task="Visual question answering",
    inputs=(
        ImageInput("image", "Picture", webcam=True),
        Text("question", "Question", "About what the picture shows", max_chars=300, lines=1),
    ),
    outputs=(TextOutput("answer", "Answer"), Labels("answers", "Likeliest answers", optional=True)),
    load=load,
    prepare=prepare,
    infer=infer,
    present=present,
    weights=(Weights("WEIGHTS", title="MODEL_TITLE"),),
    examples=(),
    note="NOTE",
    max_batch=4,
)
