"""What people say of answers, as all faces draw it: the form, what was said, how often answers were right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup

from hub.archive.corrections.corrections import Subject
from hub.archive.corrections.parts import spoken
from hub.archive.corrections.store import Correction, Count
from hub.archive.links import Feedback
from hub.people.terms import NOTE_CHARS
from hub.texts import say
from hub.web.parts import wording
from hub.web.parts.pieces import piece

VERDICTS = {"right": "Right", "wrong": "Wrong", "": "Words"}
THUMBS = {"up": "Right", "down": "Wrong", "": "Words"}


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody said of a shared result, as its owner reads it."""

    verdict: str
    created: float
    right: str
    text: str


def draw_form(subject: Subject, action: str = "") -> Markup:
    """The form in which something is said of an answer."""
    return piece("corrections", "form", subject.blank.parts, subject.pictured, NOTE_CHARS, action)


def draw_kept(correction: Correction) -> Markup:
    """What was just said."""
    verdict = say(VERDICTS[correction.verdict])
    return piece("corrections", "kept", verdict, rows_of(correction), correction.note, bool(correction.pictures))


def rows_of(correction: Correction) -> list[tuple[str, str, str]]:
    """Each part with what was answered and what is right; the latter is empty where nobody said so."""
    return [
        (
            say(part.label),
            spoken(part, part.answer),
            spoken(part, correction.value[part.name]) if part.name in correction.value else "",
        )
        for part in correction.parts
    ]


def words_of(old: Iterable[Feedback], new: Iterable[Correction]) -> list[Words]:
    """All that was said of a link, the oldest first."""
    words = [Words(THUMBS[one.thumb], one.created, "", one.text) for one in old]
    for one in new:
        right = say(", ").join(right for _, _, right in rows_of(one) if right)
        words.append(Words(VERDICTS[one.verdict], one.created, right, one.note))
    return sorted(words, key=lambda one: one.created)


def accuracies(counts: Iterable[Count], titles: dict[str, str]) -> list[tuple[str, str, str, str]]:
    """Page, weights, how many of the corrected answers were right, and their share."""
    return [
        (
            titles.get(one.page, one.page),
            f"{one.weights} {one.digest[:12]}".strip(),
            say("{right} of {count}", right=one.right, count=one.right + one.wrong),
            wording.percent(one.right / (one.right + one.wrong)),
        )
        for one in counts
    ]
