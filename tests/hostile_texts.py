"""Texts that make a careless pattern slow, and how long a pattern takes over them. Run as a program: one a line.

In: JSON `[pattern, flags, is_bytes, methods]`. Out: JSON, the text's recipe that was too slow, or null.
"""

from __future__ import annotations

import json
import re
import re._constants as codes  # type: ignore[import-untyped]  # what `re` itself is made of, for 3.11 and later
import re._parser as parser  # type: ignore[import-untyped]
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

# A pattern that reads a text once takes some milliseconds for so many characters; one that reads it once for each
# character takes seconds. Both are of the processor's time, which a busy machine does not lengthen. What is quick over
# a twentieth of the text is not asked for more.
CHARS, LIMIT_S = 60_000, 0.3
FEW, QUICK_S = CHARS // 20, 0.002
TAILS = ("", "\0", "!", "\n")
LONG = 300  # a part that may be repeated more often has no end, for us
COMMON = "a0 -/.:;,<>\"'\n=_@"


class TooSlowError(Exception):
    """The time was up."""


def too_slow(pattern: str | bytes, flags: int, methods: list[str]) -> str | None:
    """What the text was made of that took too long; None: none did."""
    compiled = re.compile(pattern, flags)
    words = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    tree = parser.parse(words, flags & ~(re.UNICODE if isinstance(pattern, bytes) else 0))
    for begin, unit, tail in dict.fromkeys(recipes(tree)):
        for method in methods:
            try:
                signal.setitimer(signal.ITIMER_VIRTUAL, LIMIT_S)
                for chars in (FEW, CHARS):
                    text = begin + unit * (chars // max(1, len(unit))) + tail
                    since = time.process_time()
                    ask(compiled, method, text if isinstance(pattern, str) else text.encode("latin-1", "replace"))
                    if time.process_time() - since < QUICK_S:
                        break
            except TooSlowError:
                return f"{method} of {begin!r} + {unit!r} * n + {tail!r}"
            finally:
                signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    return None


def ask(compiled: Any, method: str, text: Any) -> None:
    if method in ("sub", "subn"):
        getattr(compiled, method)(lambda found: text[:0], text)
    elif method == "finditer":
        sum(1 for _ in compiled.finditer(text))
    else:
        getattr(compiled, method)(text)


def recipes(tree: Any) -> Iterator[tuple[str, str, str]]:
    """(beginning, what is repeated, end): what each part of the pattern takes, before an end that it does not."""
    if not any(has_no_end(part) for part in walked(tree)):
        return
    parts = [sample([part]) for part in walked(tree)]
    units = [*COMMON, *(part for part in parts if part), *beginnings(tree), sample(tree)]
    for begin in dict.fromkeys(("", *beginnings(tree))):
        for unit in filter(None, dict.fromkeys(units)):
            yield from ((begin, unit, tail) for tail in (TAILS if len(unit) == 1 else TAILS[:2]))


def beginnings(tree: Any) -> Iterator[str]:
    """A text for each place in the pattern at which something of any length begins, and for where it ends."""
    before = ""
    for part in tree:
        if has_no_end(part):
            yield from (before, before + sample([part]))
        for inner in inside(part):
            yield from (before + more for more in beginnings(inner))
        before += sample([part])


def has_no_end(part: Any) -> bool:
    code, value = part
    return code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT) and value[1] > LONG


def walked(tree: Any) -> Iterator[Any]:
    for part in tree:
        yield part
        for inner in inside(part):
            yield from walked(inner)


def inside(part: Any) -> list[Any]:
    """The patterns within one part."""
    code, value = part
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        return [value[2]]
    if code is codes.SUBPATTERN:
        return [value[3]]
    if code is codes.BRANCH:
        return list(value[1])
    if code in (codes.ASSERT, codes.ASSERT_NOT):
        return [value[1]]
    return [value] if code is codes.ATOMIC_GROUP else []


def sample(tree: Any) -> str:
    """A short text that fits."""
    text = ""
    for code, value in tree:
        if code is codes.LITERAL:
            text += chr(value)
        elif code is codes.NOT_LITERAL:
            text += "b" if value == ord("a") else "a"
        elif code is codes.ANY:
            text += "a"
        elif code is codes.IN:
            text += of_class(value)
        elif code is codes.BRANCH:
            text += sample(value[1][0])
        elif code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
            text += sample(value[2]) * max(1, min(value[0], 64))
        elif code is not codes.ASSERT and code is not codes.ASSERT_NOT:
            text += "".join(sample(inner) for inner in inside((code, value)))
    return text


CATEGORIES = {codes.CATEGORY_DIGIT: "0", codes.CATEGORY_SPACE: " ", codes.CATEGORY_WORD: "a"}


def of_class(value: Any) -> str:
    """A character of a class."""
    (code, first), *_ = value
    if code is codes.NEGATE:
        taken = {of_class([one]) for one in value[1:]}
        return next(c for c in "a0 -!" if c not in taken)
    if code is codes.CATEGORY:
        return CATEGORIES.get(first, "!")
    return chr(first[0] if code is codes.RANGE else first)


def main() -> None:
    def up(*_: Any) -> None:
        raise TooSlowError

    signal.signal(signal.SIGVTALRM, up)
    for line in sys.stdin:
        pattern, flags, is_bytes, methods = json.loads(line)
        found = too_slow(pattern.encode("latin-1") if is_bytes else pattern, flags, methods)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
