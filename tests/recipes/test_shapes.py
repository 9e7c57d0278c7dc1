"""The shapes that the text-to-image recipe draws, the detector that reads them back, and what is held out."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import CLIPTextModel

from hub.settings import ROOT
from weights.stable_diffusion import autoencoder, fitting, model, prompts, reader
from weights.stable_diffusion.adherence import detector_share
from weights.stable_diffusion.detector import detect, verdict
from weights.stable_diffusion.prompts import (
    HELD_PAIRS,
    MIXES,
    SEEN_PAIRS,
    Request,
    Wish,
    arrange,
    caption,
    draw_request,
)
from weights.stable_diffusion.scenes import COLOURS, SHAPES, draw

BUNDLED = ROOT / "weights" / "stable_diffusion"


def test_the_detector_reads_the_recipes_own_drawings() -> None:
    assert detector_share(25) >= 0.99  # 25 of each kind


@pytest.mark.parametrize("relation", prompts.RELATIONS)
def test_the_detector_sees_what_is_wrong(relation: str) -> None:
    chance = random.Random(relation)
    wanted = Request((Wish("red", "circle"), Wish("blue", "star")), relation=relation, background="white")
    picture = draw(arrange(wanted, chance))
    assert verdict(wanted, detect(picture))["all"]
    swapped = Request(wanted.things[::-1], relation=relation, background="white")
    assert not verdict(swapped, detect(picture))["relation"]
    crossed = Request((Wish("blue", "circle"), Wish("red", "star")), relation=relation)
    assert not verdict(crossed, detect(picture))["pairs"]
    alone = Request((Wish("red", "circle"),))
    assert not verdict(alone, detect(picture))["count"]
    assert not verdict(wanted, detect(np.full_like(picture, 250)))["all"]


@pytest.mark.parametrize("mix", MIXES)
def test_training_never_shows_what_is_held_out(mix: str) -> None:
    chance = random.Random(3)
    drawn = [draw_request(chance, MIXES[mix]) for _ in range(4000)]
    seen = {(wish.colour, wish.shape) for request in drawn for wish in request.things}
    assert seen == set(SEEN_PAIRS)  # so all else is shown, and the held-out pairs' words are learnt in other pairs
    assert {colour for colour, _ in seen} == set(COLOURS) and {shape for _, shape in seen} == set(SHAPES)
    assert not any(pair in HELD_PAIRS for pair in seen)
    two = [[(w.colour or "", w.shape or "") for w in request.things] for request in drawn if len(request.things) == 2]
    assert len(two) > 1000 and not any(prompts.held_combination(*pairs) for pairs in two)
    for kind in ("pairs", "relations"):
        for _ in range(50):
            pairs = [(w.colour or "", w.shape or "") for w in prompts.held_request(kind, chance).things]
            assert pairs[0] in HELD_PAIRS if kind == "pairs" else prompts.held_combination(*pairs)


def test_a_mix_shows_more_of_what_it_is_named_for() -> None:
    def shares(mix: str) -> tuple[float, float]:
        chance = random.Random(5)
        drawn = [draw_request(chance, MIXES[mix]) for _ in range(2000)]
        alike, styled = (request.count > 1 for request in drawn), (request.things[0].style for request in drawn)
        return sum(alike) / 2000, sum(map(bool, styled)) / 2000

    (few, plain), (many, styled) = shares("even"), shares("numbers-and-styles")
    assert many > 2 * few
    assert styled > 1.4 * plain


def test_a_further_cycle_begins_with_the_pipeline_that_is_there() -> None:
    parts = {"vae": model.autoencoder(), "unet": model.denoiser(), "text_encoder": model.text_encoder()}
    model.read_pipeline(parts, BUNDLED)
    tokens = torch.tensor([model.tokenizer()("a red star").input_ids])
    bundled = CLIPTextModel.from_pretrained(BUNDLED / "text_encoder").eval()
    with torch.no_grad():
        given, wanted = parts["text_encoder"].eval()(tokens), bundled(tokens)
    assert torch.allclose(given.last_hidden_state, wanted.last_hidden_state, atol=1e-5)


def test_every_caption_is_made_of_known_words_and_fits() -> None:
    chance, words = random.Random(4), model.tokenizer()
    unknown = words.convert_tokens_to_ids("[unknown]")
    for _ in range(1500):
        text = caption(draw_request(chance), chance)
        tokens = words(text).input_ids
        assert len(tokens) <= model.TOKENS
        assert tokens.count(unknown) == text.count("[unknown]"), text
    assert words("a purple elephant").input_ids.count(unknown) == 1


def test_standardised_latents_have_their_spreads_and_decode_as_before() -> None:
    torch.manual_seed(0)
    vae = model.autoencoder().eval().requires_grad_(False)
    pictures = torch.from_numpy(np.stack([draw(arrange(draw_request(c), c)) for c in map(random.Random, range(4))]))
    latents = autoencoder.encode(vae, pictures)
    before = vae.decode(latents).sample
    autoencoder.standardise(vae, latents)
    after = autoencoder.encode(vae, pictures)
    assert after.mean((0, 2, 3)).abs().max() < 0.02
    torch.testing.assert_close(after.std((0, 2, 3)), torch.tensor(autoencoder.SPREADS), rtol=0.02, atol=0.02)
    torch.testing.assert_close(vae.decode(after).sample, before, rtol=0.05, atol=0.05)


def test_the_small_picture_in_the_latents_is_brightness_and_colour_differences() -> None:
    plain = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    plain[0] = torch.tensor([255, 255, 255], dtype=torch.uint8)
    plain[1, :, 32:] = torch.tensor([255, 0, 0], dtype=torch.uint8)
    found = autoencoder.small(autoencoder.pixels(plain))
    assert found.shape == (2, 3, 16, 16)
    torch.testing.assert_close(found[0, :, 5, 5], torch.tensor([1.0, 0.0, 0.0]))
    torch.testing.assert_close(found[1, :, 5, 5], torch.tensor([-1.0, 0.0, 0.0]))
    torch.testing.assert_close(found[1, :, 5, 12], torch.tensor([-1 / 3, 1.0, -0.5]))  # red at the right half


def test_the_reader_is_asked_for_what_is_true_of_both_things() -> None:
    wanted = Request((Wish("red", "circle", size="large"), Wish("blue", "star", style="striped")), relation="left of")
    told = reader.labels(wanted)
    kinds = [*reader.SCENE.values(), *reader.THING.values(), *reader.THING.values()]
    values = [kind[number] for kind, number in zip(kinds, told, strict=True)]
    assert values == [
        *(None,),
        *("red", "circle", "filled", "large", "left of", 1),
        *("blue", "star", "striped", None, "right of", 1),
    ]
    alone = reader.labels(Request((Wish("red", "circle"),), position="at the top", background="gray"))
    assert reader.SCENE["background"][alone[0]] == "gray" and alone[7:] == [0] * 6  # the second is absent
    said = reader.Heads(model.WIDTH)(torch.zeros(2, model.TOKENS, model.WIDTH))
    assert [tuple(one.shape) for one in said] == [(2, len(kind)) for kind in kinds]


class Interrupted(Exception):
    """Stands for a killed process."""


@pytest.mark.slow
def test_an_interrupted_training_goes_on_and_ends_the_same(tmp_path: Path) -> None:
    def train(out: Path, stop_at: int = 0) -> dict[str, Tensor]:
        out.mkdir(exist_ok=True)
        torch.manual_seed(1)
        calls: list[int] = []

        def loss(parts: nn.ModuleDict, chance: torch.Generator) -> Tensor:
            calls.append(1)
            if len(calls) == stop_at:
                raise Interrupted
            value: Tensor = parts["layer"](torch.randn(4, 3, 5, 5, generator=chance)).square().mean()
            return value

        plan = fitting.Plan("tiny", steps=9, learning_rate=0.01, report_every=3)
        parts = nn.ModuleDict({"layer": nn.Conv2d(3, 2, 3)})
        return fitting.fit(parts, loss, lambda average, step: {"seen": float(step)}, plan, out).state_dict()

    whole = train(tmp_path / "whole")
    with pytest.raises(Interrupted):
        train(tmp_path / "parts", stop_at=6)
    for name, tensor in train(tmp_path / "parts").items():
        torch.testing.assert_close(tensor, whole[name], rtol=0, atol=0)
    assert (tmp_path / "parts" / "metrics.json").exists() and (tmp_path / "parts" / "tiny_curves.png").exists()
