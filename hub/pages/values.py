"""Reads one value that came through a door as its field declares it: numbers, switches, choices, seeds, texts.

Values may be text, as forms, flags and addresses have them. InputError says what was given and what is allowed.
"""

from __future__ import annotations

import math
import secrets
from contextlib import suppress
from typing import Any

from hub.errors import InputError
from hub.spec import Choice, Choices, Number, Seed, Slider, Text, Toggle
from hub.suggest import unknown_option
from hub.texts import sentence

SEED_LIMIT = 2**32
SWITCH = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def read_number(entry: Slider | Number, value: Any, usual: float | None) -> int | float:
    """`usual`: what it is when it is left out; None: it must be given."""
    name = entry.name
    bounds = {"low": entry.minimum, "high": entry.maximum, "unit": sentence(entry.unit)}
    range_text = sentence("between {low:g} and {high:g}" + " {unit}" * bool(entry.unit), **bounds)
    kind = "a whole number {range}" if entry.integer else "a number {range}"
    if value is None or value == "":
        if usual is None:
            raise InputError("{name} is missing: write a number.", name=name, field=name)
        return int(usual) if entry.integer else float(usual)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InputError(
            "{name} must be {what}, got {given}.",
            name=name,
            what=sentence(kind, range=range_text),
            given=described(value),
            field=name,
        )
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise InputError(
            "{name} must be {what}, got {given}.",
            name=name,
            what=sentence(kind, range=range_text),
            given=described(value),
            field=name,
        ) from None
    if not math.isfinite(number) or not entry.minimum <= number <= entry.maximum:
        text = _short(str(value).strip())  # as it was written: "300" is not 300.0
        raise InputError("{name} must be {what}, got {given}.", name=name, what=range_text, given=text, field=name)
    if not entry.integer:
        return number + 0.0  # -0.0 is 0.0: one value, one result
    if number != int(number):
        raise InputError(
            "{name} must be {what}, got {given:g}.",
            name=name,
            what=sentence(kind, range=range_text),
            given=number,
            field=name,
        )
    return int(number)


def read_switch(entry: Toggle, value: Any) -> bool:
    if value is None or value == "":
        return entry.default
    text = value if isinstance(value, str) else str(value) if value in (True, False) else ""
    known = SWITCH.get(text.strip().lower()) if not isinstance(value, float) else None
    if known is None:
        what = sentence("true or false")
        raise InputError(
            "{name} must be {what}, got {given}.", name=entry.name, what=what, given=described(value), field=entry.name
        )
    return known


def read_choice(entry: Choice, value: Any, allowed: tuple[str, ...] | None) -> str:
    """`allowed` None: the weights' options are not known here, so any text may be one of them."""
    if value is None or value == "":
        return entry.default
    if isinstance(value, str) and (allowed is None or value in allowed):
        return value
    choices = list(allowed or entry.options)
    if not isinstance(value, str):
        quoted = ", ".join(repr(o) for o in choices)
        raise InputError(
            "{name} must be {what}, got {given}.",
            name=entry.name,
            what=sentence("one of {listed}", listed=quoted),
            given=described(value),
            field=entry.name,
        )
    raise InputError(unknown_option(entry.name, _short(value), choices), field=entry.name)


def read_choices(entry: Choices, value: Any, allowed: tuple[str, ...] | None) -> tuple[str, ...]:
    """In the options' order, so that the same options ticked in another order are the same run."""
    if value is None:
        return entry.default
    if isinstance(value, str):
        exact = value in (allowed or ())  # a name from a config may have a comma
        value = [value] if exact else [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(one, str) for one in value):
        wrong = next((v for v in value if not isinstance(v, str)), "") if isinstance(value, list | tuple) else value
        raise InputError(
            "{name} must be {what}, got {given}.",
            name=entry.name,
            what=sentence("a list of texts, or text with commas"),
            given=described(wrong) if wrong is value else sentence("{what} in a list", what=described(wrong)),
            field=entry.name,
        )
    if allowed is None:
        return tuple(dict.fromkeys(value))
    for one in value:
        if one not in allowed:
            raise InputError(unknown_option(entry.name, _short(one), list(allowed)), field=entry.name)
    return tuple(option for option in allowed if option in value)


def read_seed(entry: Seed, value: Any) -> int:
    if value is None or value in ("", "-1") or (value == -1 and not isinstance(value, bool)):
        return secrets.randbelow(SEED_LIMIT)
    number = -1
    if isinstance(value, int | str) or (isinstance(value, float) and value.is_integer()):
        with suppress(ValueError):  # text that is no number stays -1, which is refused below
            number = -1 if isinstance(value, bool) else int(value)
    if not 0 <= number < SEED_LIMIT:
        raise InputError(
            "{name} must be a whole number from 0 to {high}, or empty for a new one, got {given}.",
            name=entry.name,
            high=SEED_LIMIT - 1,
            given=described(value),
            field=entry.name,
        )
    return number


def read_text(entry: Text, value: Any) -> str:
    if value is None:
        if entry.default is None:
            raise InputError("{name} is missing: write a text.", name=entry.name, field=entry.name)
        return entry.default
    if not isinstance(value, str):
        raise InputError("{name} must be text, got {given}.", name=entry.name, given=described(value), field=entry.name)
    text = value.strip()
    if entry.default is None and not text:
        raise InputError("{name} is empty: write a text.", name=entry.name, field=entry.name)
    if len(text) > entry.max_chars:
        raise InputError(
            "{name} has {count} characters; at most {most} are read. Shorten it.",
            name=entry.name,
            count=len(text),
            most=entry.max_chars,
            field=entry.name,
        )
    if "\x00" in text or (not text.isascii() and _has_surrogate(text)):
        raise InputError(
            "{name} has characters that are not valid text (NUL or half a pair).", name=entry.name, field=entry.name
        )
    return text


def _has_surrogate(text: str) -> bool:
    return any("\ud800" <= c <= "\udfff" for c in text)


def _short(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def described(value: Any) -> str:
    """`'abc'`, `a list`, `300`: what was given, in few words."""
    if isinstance(value, str):
        return repr(_short(value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and abs(value) >= 10**60:
        return "a number of more than 60 digits"  # Python refuses to write out the longest ones
    if isinstance(value, int | float):
        return str(value)
    return "nothing" if value is None else f"a {type(value).__name__}"
