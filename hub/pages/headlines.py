"""A page's own headline: `Demo.headline` is asked, and what it says is checked. It never costs anybody a result."""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from unicodedata import category

from hub.pages.calls import call
from hub.results.headline import default_headline, headline
from hub.results.result import Result
from hub.spec import Demo
from hub.texts import Sentence, packed, sentence

log = logging.getLogger(__name__)
MOST_CHARS = 160
PARTS_BYTES = 4096  # of what a sentence is made of
TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"  # text after one may read backwards


def named_inputs(demo: Demo, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the inputs whose words the page's headline may hold: it has parameters of their names."""
    names = _parameters(demo.headline) if demo.headline else frozenset()
    return {name: value for name, value in values.items() if name in names}


def write(
    slug: str, demo: Demo, presented: Mapping[str, Any], config: Mapping[str, Any] | None, named: Mapping[str, Any]
) -> str:
    """The page's headline of an answer; empty where it has none, or fails: then it is logged."""
    if demo.headline is None:
        return ""
    try:
        return bounded(call(demo.headline, config, MappingProxyType(presented), **named))
    except KeyboardInterrupt:
        raise
    # The answer is there already: whatever a page's function raises, it must not be lost for a few words.
    except BaseException as error:
        log.warning("%s: headline failed: %r", slug, str(error)[:200], exc_info=True)
        return ""


def headline_without(demo: Demo, result: Result, left_out: Collection[str]) -> str:
    """A result's headline for who must not read these inputs: made of the outputs where the page's may hold them."""
    if named_inputs(demo, dict.fromkeys(left_out)):
        return default_headline(demo, result.values, result.pictures)
    return headline(demo, result)


def bounded(text: object) -> str:
    """One line of at most MOST_CHARS letters. Raises TypeError or ValueError for what is no text, or an empty one."""
    if not isinstance(text, str):
        raise TypeError(f"headline must return a text, got a {type(text).__name__}")
    line = " ".join(filter(None, "".join(map(_drawn, text[: 4 * MOST_CHARS])).split(" ")))
    if not line:
        raise ValueError("headline returned an empty text")
    as_it_is = isinstance(text, Sentence) and text == line and len(line) <= MOST_CHARS
    if as_it_is and len(json.dumps(packed(text))) <= PARTS_BYTES:
        return text
    cut = line if len(line) <= MOST_CHARS else line[: MOST_CHARS - 1].rstrip() + "…"
    return sentence("{words}", words=cut)  # nothing of it is searched for in another language


def _drawn(letter: str) -> str:
    """The letter, or a space for one that ends a line, turns its direction or draws nothing of its own."""
    return " " if category(letter) in ("Cc", "Cs", "Zl", "Zp") or letter in TURNING else letter


@lru_cache(maxsize=1024)
def _parameters(function: Callable[..., object]) -> frozenset[str]:
    return frozenset(list(inspect.signature(function).parameters)[1:])
