"""What a pipeline's tokenizer reads of a prompt: words it does not know, and what it cuts off."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any

from hub.texts import Sentence, sentence

WORDS_MOST = 8  # that are named
WORD_CHARS = 40
CUT_CHARS = 120
COLUMNS = {  # of a table of settings, as people read them
    "prompt": ("prompt words not known", "prompt tokens cut off"),
    "negative_prompt": ("negative prompt words not known", "negative prompt tokens cut off"),
}


def read(tokenizer: Any, text: str) -> dict[str, Any]:
    """`unknown`: words that mean nothing to the model; `cut`: the end of the text that it does not get; `most` tokens.

    Plain data, as it is kept among a model's outputs.
    """
    found = tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False)
    numbers, places, most = found["input_ids"], found["offset_mapping"], tokenizer.model_max_length
    read = max(0, most - tokenizer.num_special_tokens_to_add())
    unknown: list[str] = []
    # Tokenizers of bytes know every word; what they call unknown is the end of the text.
    if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id):
        pairs = zip(numbers[:read], places[:read], strict=True)
        unknown = [text[begin:end] for number, (begin, end) in pairs if number == tokenizer.unk_token_id]
        read_to = places[read][0] if len(numbers) > read else len(text)
        unknown += [mark for mark in text[:read_to] if unicodedata.category(mark) == "So"]  # emoji and the like
    cut = text[places[read][0] :].strip() if len(numbers) > read else ""
    return {
        "unknown": list(dict.fromkeys(unknown)),
        "cut": cut,
        "cut_tokens": max(0, len(numbers) - read),
        "most": most,
    }


def read_used(tokenizer: Any, texts: Mapping[str, Any], *, guided: bool) -> dict[str, dict[str, Any]]:
    """What `read` answers of the prompts among `texts`, by name; without guidance the negative one has no say."""
    return {name: read(tokenizer, texts[name]) for name in (COLUMNS if guided else ("prompt",))}


def columns(name: str, found: Mapping[str, Any]) -> dict[str, int]:
    """How much of it, for a table of settings; nothing where all was read.

    Without the words: who shares a picture may leave the prompt out.
    """
    counts = zip(COLUMNS[name], (len(found["unknown"]), found["cut_tokens"]), strict=True)
    return {heading.replace(" ", "_"): count for heading, count in counts if count}


def remarks(label: str, found: Mapping[str, Any]) -> list[Sentence]:
    """What was not read in sentences; `label` is what people call the prompt."""
    told, name = [], sentence(label)
    if found["unknown"]:
        words = _words(found["unknown"])
        told.append(sentence("{name}: this model does not know {words}, and draws as if that were not said.",
                             name=name, words=words))  # fmt: skip
    if found["cut"]:
        told.append(sentence("{name}: cut after {number} tokens, the most that this model reads. Not read: {unread}.",
                             name=name, number=found["most"], unread=_quoted(found["cut"], CUT_CHARS)))  # fmt: skip
    return told


def _words(words: list[str]) -> str:
    more = len(words) - WORDS_MOST
    named = ", ".join(_quoted(word, WORD_CHARS) for word in words[:WORDS_MOST])
    return f"{named} (+{more})" if more > 0 else named


def _quoted(text: str, most: int) -> str:
    return repr(text if len(text) <= most else f"{text[: most - 1]}…")
