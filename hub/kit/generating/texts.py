"""What networks of transformers that read and write do: answers about pictures, and texts written on."""

from __future__ import annotations

import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from hub.errors import InputError
from hub.kit.pretrained import ready
from hub.spec import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LISTED = 5  # likeliest answers
ANSWER_TOKENS = 20  # of an answer about a picture that is written
NARROWEST = 2  # the longer side by the shorter one
MOST_CONTEXT = 4096  # tokens; memory grows with each


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


def written(
    model: Any, text: str, length: int, temperature: float, seed: int, *, done: int = 0, of: int = 1
) -> Generator[Progress, None, str]:
    """What the network writes after a text, at most `length` tokens; a step is a token.

    Where its tokenizer has a form for talks, the text is what somebody asks, and what comes of it the answer; else it
    is the beginning of what comes of it. `done` of the `of` texts of a batch are written already. Raises InputError.
    """
    import torch

    tokenizer, device = model.readers["AutoTokenizer"], next(model.parameters()).device
    talks = getattr(tokenizer, "chat_template", None) is not None
    if talks:
        asked = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
        tokens = tokenizer(asked, return_tensors="pt", add_special_tokens=False)["input_ids"]
    else:
        tokens = tokenizer(text, return_tensors="pt")["input_ids"]
    room = min(int(getattr(model.config, "max_position_embeddings", 0) or MOST_CONTEXT), MOST_CONTEXT)
    if tokens.shape[1] >= room:
        raise InputError(
            "text has {number} tokens, and this model reads {most}. Make it shorter.",
            number=tokens.shape[1],
            most=room - 1,
            field="text",
        )
    chance = torch.Generator().manual_seed(seed)
    steps = min(length, room - tokens.shape[1])
    ends = {int(n) for n in _listed(model.generation_config.eos_token_id)} - {-1}
    begin, memory, given, new = time.perf_counter(), None, tokens.to(device), list[int]()
    for step in range(1, steps + 1):
        answer = model(input_ids=given, past_key_values=memory, use_cache=True)
        memory = answer.past_key_values
        token = _chosen(answer.logits[0, -1].float().cpu(), temperature, chance)
        if token in ends:
            break
        new.append(token)
        given = torch.tensor([[token]], device=device)
        left_s = (time.perf_counter() - begin) / step * (steps - step)
        yield Progress(done * steps + step, of * steps, left_s=left_s)
    more = tokenizer.decode(new, skip_special_tokens=True)
    return str(more.strip() if talks else tokenizer.decode([*tokens[0].tolist(), *new], skip_special_tokens=True))


def _listed(ends: Any) -> list[int]:
    return ends if isinstance(ends, list) else [-1 if ends is None else ends]


def _chosen(logits: Any, temperature: float, chance: Any) -> int:
    """One token: the likeliest, or by chance."""
    import torch

    if temperature == 0:
        return int(logits.argmax())
    return int(torch.multinomial((logits / temperature).softmax(0), 1, generator=chance))
