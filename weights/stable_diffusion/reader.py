"""The text encoder learns to read before the U-Net learns to draw: from the words to what is in the scene.

Learnt together with the U-Net, words and their order stay without meaning for long. Here the last three places of a
prompt come to hold the scene, the first thing and the second (the places before them are words, and the encoder looks
only back). Linear heads ask both things alike, so that colour, shape and place are told apart the same way for each.
The heads are thrown away; the encoder is kept as it is.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from weights.stable_diffusion.fitting import Plan, fit
from weights.stable_diffusion.prompts import HELD_KINDS, NUMBERS, POSITIONS, RELATIONS, Request, held_request
from weights.stable_diffusion.scenes import BACKGROUNDS, COLOURS, SHAPES, SIZES, STYLES
from weights.training.fit import mixed

ABSENT = "absent"
SCENE: dict[str, tuple[object, ...]] = {"background": (None, *BACKGROUNDS)}
THING: dict[str, tuple[object, ...]] = {
    "colour": (ABSENT, *COLOURS),
    "shape": (ABSENT, *SHAPES),
    "style": (ABSENT, *STYLES),
    "size": (ABSENT, None, *SIZES),
    "place": (ABSENT, None, *POSITIONS, *RELATIONS),
    "count": (ABSENT, 1, *NUMBERS),
}
OPPOSITE = {"left of": "right of", "right of": "left of", "above": "below", "below": "above"}
PLACES = (-3, -2, -1)  # of the scene and the two things, in a prompt's tokens
CHECKED = 200  # held-out prompts of each kind


def labels(request: Request) -> list[int]:
    """The numbers of what is true of the scene and of both things, 13 in all; what is not said has its own."""
    numbers = [SCENE["background"].index(request.background)]
    for number in range(2):
        if number >= len(request.things):
            numbers += [0] * len(THING)
            continue
        wish = request.things[number]
        relation = request.relation if request.relation in OPPOSITE else None
        place = request.position or (OPPOSITE[relation] if relation and number else relation)
        facts = (wish.colour, wish.shape, wish.style or "filled", wish.size, place, request.count)
        numbers += [kinds.index(value) for kinds, value in zip(THING.values(), facts, strict=True)]
    return numbers


class Heads(nn.Module):
    """The questions: one linear layer for the scene, one for a thing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scene = nn.Linear(width, sum(map(len, SCENE.values())))
        self.thing = nn.Linear(width, sum(map(len, THING.values())))

    def forward(self, hidden: Tensor) -> list[Tensor]:
        """[n, tokens, width] to 13 tensors [n, kinds], in the order of `labels`."""
        scene, first, second = (hidden[:, place] for place in PLACES)
        outputs = list(self.scene(scene).split([len(kinds) for kinds in SCENE.values()], 1))
        for thing in (first, second):
            outputs += self.thing(thing).split([len(kinds) for kinds in THING.values()], 1)
        return outputs


def train(
    encoder: Any, tokens: Tensor, truth: Tensor, val_tokens: Tensor, plan: Plan, batch_size: int, out: Path
) -> Any:
    """The averaged encoder. `tokens` [n, 24], `truth` [n, 13]; `val_tokens`: the tokens of `checked_requests()`."""
    parts = nn.ModuleDict({"text_encoder": encoder, "heads": Heads(encoder.config.hidden_size)})
    answers = torch.tensor([labels(request) for request in checked_requests()])

    def loss(parts: nn.ModuleDict, chance: torch.Generator) -> Tensor:
        indices = torch.randint(len(tokens), (batch_size,), generator=chance)
        with mixed():
            answers_given = parts["heads"](parts["text_encoder"](tokens[indices]).last_hidden_state)
        return torch.stack(
            [cross_entropy(a.float(), b) for a, b in zip(answers_given, truth[indices].T, strict=True)]
        ).sum()

    def watch(parts: nn.ModuleDict, step: int) -> dict[str, float]:
        answers_given = parts["heads"](parts["text_encoder"](val_tokens).last_hidden_state)
        right = torch.stack([a.argmax(1) == b for a, b in zip(answers_given, answers.T, strict=True)])
        return {"read_right": right.all(0).float().mean().item()}

    return fit(parts, loss, watch, plan, out)["text_encoder"]


def checked_requests() -> list[Request]:
    """Held-out requests of every kind, the same each time."""
    chance = random.Random(2)
    return [held_request(kind, chance) for kind in HELD_KINDS for _ in range(CHECKED)]
