"""What networks of transformers hear people say, as text that grows while they listen."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from hub.kit.generating.texts import generated
from hub.kit.pretrained import ear, long_enough
from hub.spec import Progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

AUTO = "auto"  # the language that the network hears
PART_S, AROUND_S = 30.0, 5.0  # what a network of letters hears at once, of which the ends are only its surroundings


def transcribed(
    model: Any, sound: NDArray[np.float32], rate: int, language: str, task: str
) -> Generator[Progress, None, str]:
    """What Whisper writes of a sound [samples], in parts of half a minute, with the text so far after each token.

    `language` and `task` are passed on where the repository says that there is a choice; AUTO: it is heard. A step is a
    part.
    """
    extractor, tokenizer = ear(model, rate), model.readers["AutoTokenizer"]
    parts = math.ceil(sound.size / extractor.n_samples)
    whole = {"truncation": False, "padding": "longest"} if parts > 1 else {}
    given = extractor(sound.copy(), sampling_rate=rate, return_tensors="pt", return_attention_mask=True, **whole)
    before, last, number = "", list[int](), 0

    def read(tokens: list[int]) -> str:
        return str(tokenizer.decode(tokens, skip_special_tokens=True))

    def step(tokens: list[int], words: str | None) -> Progress:
        nonlocal before, last, number
        if len(tokens) <= len(last):  # the next part has begun
            before, number = before + read(last), number + 1
        last = tokens
        text = None if words is None else (before + words).strip()
        return Progress(number, max(parts, number + 1), text=(text,))

    known, choices = model.generation_config, dict[str, Any]()
    if getattr(known, "is_multilingual", True):
        if language != AUTO and hasattr(known, "lang_to_id"):
            choices["language"] = language
        if hasattr(known, "task_to_id"):
            choices["task"] = task
    return read((yield from generated(model, given, read, step, return_timestamps=parts > 1, **choices))).strip()


def spelled(model: Any, sound: NDArray[np.float32], rate: int) -> Generator[Progress, None, str]:
    """What a network that hears letters (CTC) writes of a sound [samples], in parts that overlap; a step is a part."""
    from transformers import AutomaticSpeechRecognitionPipeline

    sound, begin, device = long_enough(sound, rate), time.perf_counter(), next(model.parameters()).device
    # It cuts a sound into parts and puts together what is heard of each.
    listener = AutomaticSpeechRecognitionPipeline(
        model=model, feature_extractor=ear(model, rate), tokenizer=model.readers["AutoTokenizer"], device=device
    )
    parts = 1 + max(0, math.ceil((sound.size / rate - PART_S) / (PART_S - 2 * AROUND_S)))
    heard: list[dict[str, Any]] = []
    text = ""
    for part in listener.preprocess(sound, chunk_length_s=PART_S, stride_length_s=AROUND_S):
        heard.append({**listener.forward(part)})
        text = str(listener.postprocess([{**one} for one in heard])["text"]).strip()
        most = max(parts, len(heard))
        left_s = (time.perf_counter() - begin) / len(heard) * (most - len(heard))
        yield Progress(len(heard), most, left_s=left_s, text=(text,))
    return text
