"""What networks of transformers that read and write do: answers about pictures, and texts written on."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from hub.errors import InputError
from hub.kit.generating import aside
from hub.kit.pretrained import ready
from hub.spec import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

T = TypeVar("T")

LISTED = 5  # likeliest answers
ANSWER_TOKENS = 20  # of an answer about a picture that is written
NARROWEST = 2  # the longer side by the shorter one
MOST_CONTEXT = 4096  # tokens; memory grows with each
READ_EVERY_S = 0.1  # tokens so far are made words no more often: they all are, each time


def answers(model: Any, picture: NDArray[np.uint8], question: str) -> dict[str, float]:
    """The likeliest answers to a question about a picture [height, width, 3], each with its probability.

    A network that writes its answer gives one, with 1.
    """
    processor = model.readers["AutoProcessor"]
    given = ready(model, processor(images=_wide_enough(picture), text=question, return_tensors="pt", truncation=True))
    if not hasattr(model, "classifier"):
        tokens = model.generate(**given, max_new_tokens=ANSWER_TOKENS, do_sample=False, num_beams=1)
        return {processor.decode(tokens[0], skip_special_tokens=True).strip(): 1.0}
    # These networks say of each answer whether it fits, and several may.
    shares = model(**given).logits[0].float().sigmoid()
    best = shares.topk(min(LISTED, len(shares)))
    return {model.config.id2label[int(n)]: float(share) for n, share in zip(best.indices, best.values, strict=True)}


def _wide_enough(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture, stretched where it is so narrow that a processor would make nothing of its shorter side."""
    import numpy as np
    from PIL import Image

    height, width = picture.shape[:2]
    size = max(width, height // NARROWEST), max(height, width // NARROWEST)
    return picture if size == (width, height) else np.asarray(Image.fromarray(picture).resize(size))


def one_by_one(
    items: Sequence[T], write: Callable[[T], Generator[Progress, None, str]]
) -> Generator[Progress, None, list[str]]:
    """What `write` makes of each item; their steps are counted together, and each text is told of its own item."""
    answers = list[str]()
    for done, item in enumerate(items):
        with closing(write(item)) as steps:
            while True:
                try:
                    step = next(steps)
                except StopIteration as stop:
                    answers.append(stop.value)
                    break
                texts = tuple(step.text[0] if step.text and number == done else None for number in range(len(items)))
                yield replace(step, step=done * step.total + step.step, total=len(items) * step.total, text=texts)
    return answers


def written(model: Any, text: str, length: int, temperature: float, seed: int) -> Generator[Progress, None, str]:
    """What the network writes after a text, at most `length` tokens; a step is a token, with the text so far.

    Where its tokenizer has a form for talks, the text is what somebody asks, and what comes of it the answer; else it
    is the beginning of what comes of it. Raises InputError.
    """
    tokenizer = model.readers["AutoTokenizer"]
    talks = getattr(tokenizer, "chat_template", None) is not None
    if talks:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
        given = tokenizer(asked, return_tensors="pt", add_special_tokens=False)
    else:
        given = tokenizer(text, return_tensors="pt")
    count = given["input_ids"].shape[1]
    room = min(int(getattr(model.config, "max_position_embeddings", 0) or MOST_CONTEXT), MOST_CONTEXT)
    if count >= room:
        raise InputError(
            "text has {number} tokens, and this model reads {most}. Make it shorter.",
            number=count,
            most=room - 1,
            field="text",
        )

    def read(tokens: list[int]) -> str:
        words = str(tokenizer.decode(tokens[count:] if talks else tokens, skip_special_tokens=True))
        return words.strip() if talks else words

    steps, begin = min(length, room - count), time.perf_counter()

    def step(tokens: list[int], words: str | None) -> Progress:
        number = len(tokens) - count
        left_s = (time.perf_counter() - begin) / number * (steps - number)
        return Progress(number, steps, left_s=left_s, text=(words,))

    given = {name: given[name] for name in ("input_ids", "attention_mask") if name in given}
    options = {"max_new_tokens": steps, "logits_processor": [by_chance(temperature, seed)] if temperature else None}
    return read((yield from generated(model, given, read, step, **options)))


def generated(
    model: Any,
    given: Mapping[str, Any],
    read: Callable[[list[int]], str],
    step: Callable[[list[int], str | None], Progress],
    **options: Any,
) -> Generator[Progress, None, list[int]]:
    """The tokens that the network's own `generate` makes of one input, always the likeliest next one.

    After each it may be left, and yields `step(tokens, words)` of all of them so far; `words` is what `read` makes of
    them, or None where it did so a moment ago. `options` are those of `generate`.
    """
    import torch
    import transformers

    class Ear(transformers.StoppingCriteria):  # type: ignore[misc]  # transformers is untyped here
        """Hears of each token; that it may raise is how a run is left."""

        def __init__(self, tell: Callable[[Progress], None]):
            self.tell, self.due = tell, 0.0

        def __call__(self, tokens: Any, scores: Any, **_: Any) -> Any:
            so_far, words, now = tokens[0].tolist(), None, time.monotonic()
            if now >= self.due:
                words = read(so_far).rstrip("\N{REPLACEMENT CHARACTER}")  # a letter of which half is there
                self.due = now + READ_EVERY_S if words else now
            self.tell(step(so_far, words))
            return torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)

    # A repository's own choices would take other ways: a search among several texts, another answer each time.
    fixed = {"do_sample": False, "num_beams": 1, "num_return_sequences": 1, "return_dict_in_generate": False}

    def run(tell: Callable[[Progress], None]) -> list[int]:
        made = model.generate(**ready(model, given), stopping_criteria=[Ear(tell)], **fixed, **options)
        return list(made[0].tolist())

    return (yield from aside.steps(run))


def by_chance(temperature: float, seed: int) -> Any:
    """A processor of logits that leaves one token of each, by chance: the same for a seed, whatever runs beside."""
    import torch
    import transformers

    chance = torch.Generator().manual_seed(seed)

    class Draw(transformers.LogitsProcessor):  # type: ignore[misc]  # transformers is untyped here
        def __call__(self, tokens: Any, scores: Any) -> Any:
            shares = (scores.float() / temperature).softmax(-1).cpu()
            drawn = torch.multinomial(shares, 1, generator=chance).to(scores.device)
            return torch.full_like(scores, -torch.inf).scatter(1, drawn, 0.0)

    return Draw()
