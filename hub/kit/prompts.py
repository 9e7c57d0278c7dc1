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
    encoding = tokenizer(text, add_special_tokens=False, truncation=False, return_offsets_mapping=True, verbose=False)
    numbers, places, most = encoding["input_ids"], encoding["offset_mapping"], tokenizer.model_max_length
    count = max(0, most - tokenizer.num_special_tokens_to_add())
    unknown: list[str] = []
    # Tokenizers of bytes know every word; what they call unknown is the end of the text.
    if tokenizer.unk_token_id not in (None, tokenizer.eos_token_id, tokenizer.bos_token_id, tokenizer.pad_token_id):
        pairs = zip(numbers[:count], places[:count], strict=True)
        unknown = [text[begin:end] for number, (begin, end) in pairs if number == tokenizer.unk_token_id]
        read_to = places[count][0] if len(numbers) > count else len(text)
        unknown += [mark for mark in text[:read_to] if unicodedata.category(mark) == "So"]  # emoji and the like
    cut = text[places[count][0] :].strip() if len(numbers) > count else ""
    return {
        "unknown": list(dict.fromkeys(unknown)),
        "cut": cut,
        "cut_tokens": max(0, len(numbers) - count),
        "most": most,
    }


def read_used(tokenizer: Any, texts: Mapping[str, Any], *, guided: bool) -> dict[str, dict[str, Any]]:
    """What `read` answers of the prompts among `texts`, by name; without guidance the negative one has no say."""
    return {name: read(tokenizer, texts[name]) for name in (COLUMNS if guided else ("prompt",))}


def columns(name: str, reading: Mapping[str, Any]) -> dict[str, int]:
    """How much of it, for a table of settings; nothing where all was read.

    Without the words: who shares a picture may leave the prompt out.
    """
    counts = zip(COLUMNS[name], (len(reading["unknown"]), reading["cut_tokens"]), strict=True)
    return {heading.replace(" ", "_"): count for heading, count in counts if count}


def remarks(label: str, reading: Mapping[str, Any]) -> list[Sentence]:
    """What was not read in sentences; `label` is what people call the prompt."""
    sentences, name = [], sentence(label)
    if reading["unknown"]:
        unknown = "{name}: this model does not know {words}, and draws as if that were not said."
        sentences.append(sentence(unknown, name=name, words=_words(reading["unknown"])))
    if reading["cut"]:
        cut = "{name}: cut after {number} tokens, the most that this model reads. Not read: {unread}."
        unread = _quoted(reading["cut"], CUT_CHARS)
        sentences.append(sentence(cut, name=name, number=reading["most"], unread=unread))
    return sentences


def _words(words: list[str]) -> str:
    more = len(words) - WORDS_MOST
    quoted = ", ".join(_quoted(word, WORD_CHARS) for word in words[:WORDS_MOST])
    return f"{quoted} (+{more})" if more > 0 else quoted


def _quoted(text: str, most: int) -> str:
    return repr(text if len(text) <= most else f"{text[: most - 1]}…")
