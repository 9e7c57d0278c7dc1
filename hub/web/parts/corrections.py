"""What people say of answers, as all faces draw it: the form, what was said, how often answers were right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote

from markupsafe import Markup

from hub.archive.corrections.corrections import Subject
from hub.archive.corrections.parts import spoken
from hub.archive.corrections.store import Correction, Count
from hub.archive.links import Feedback
from hub.people.terms import NOTE_CHARS
from hub.texts import say
from hub.web.parts import wording
from hub.web.parts.pieces import piece
from hub.web.routes import API

VERDICTS = {"right": "Right", "wrong": "Wrong", "": "Words"}
THUMBS = {"up": "Right", "down": "Wrong", "": "Words"}


@dataclass(frozen=True, slots=True)
class Words:
    """What somebody said of a shared result, as its owner reads it."""

    verdict: str
    created: float
    right: str
    text: str


def draw_form(subject: Subject, action: str = "", picture: str = "") -> Markup:
    """The form in which something is said of an answer. `picture`: where what went in is, to say on it what is right;
    empty: its place among the hub's results."""
    given = next((name for name in subject.inputs if name in subject.digests), "")
    if given and not picture:
        picture = f"{API[1:]}/results/{subject.blank.target}/correction/{quote(given, safe='')}"
    return piece("corrections", "form", subject.blank.parts, subject.pictured, NOTE_CHARS, action, picture)


def draw_kept(correction: Correction, home: str = "", again: str = "") -> Markup:
    """What was said. `home`: from the page to the hub's root; `again`: where something else is said, without script."""
    verdict, is_pictured = say(VERDICTS[correction.verdict]), bool(correction.pictures)
    return piece("corrections", "kept", verdict, rows_of(correction), correction.note, is_pictured, home, again)


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
