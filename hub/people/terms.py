"""What links and access tokens are made of, and how long a note or a term may be."""

from __future__ import annotations

import string
from typing import Any

from hub.errors import InputError

ALPHABET, ID_CHARS = string.ascii_letters + string.digits, 22  # 131 bits; no - that a command line takes for a flag
DAY_S = 86_400.0
NOTE_CHARS, FEEDBACK_CHARS, DAYS_MOST = 1000, 1000, 3650


def checked_note(note: Any) -> str:
    """Raises InputError."""
    return checked_text(note, "note", NOTE_CHARS)


def checked_days(days: Any) -> float:
    """Raises InputError."""
    number = isinstance(days, int | float) and not isinstance(days, bool)
    if not number or not 0 < days <= DAYS_MOST:
        text = f"{days!r}"[:60]
        raise InputError(
            "expires_in_days must be a number above 0 and up to {days_most}, or null for never, got {given}.",
            days_most=DAYS_MOST,
            given=text,
            field="expires_in_days",
        )
    return float(days)


def checked_text(value: Any, name: str, most: int) -> str:
    """A text that people wrote. Raises InputError."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InputError("{name} must be text, got a {kind}.", name=name, kind=type(value).__name__, field=name)
    text = value.replace("\r\n", "\n").strip()  # forms send both
    if len(text) > most:
        raise InputError(
            "{name} has {count} characters; at most {most} are kept. Shorten it.",
            name=name,
            count=len(text),
            most=most,
            field=name,
        )
    if "\0" in text or any("\ud800" <= c <= "\udfff" for c in text):
        raise InputError("{name} has characters that are not valid text (NUL or half a pair).", name=name, field=name)
    return text
