"""Numbers, durations and short answers as people read them, in their language: for HTML and Streamlit alike."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from datetime import UTC, datetime
from typing import Any

from hub.archive.links import Link
from hub.errors import HubError
from hub.results.result import Receipt, Result
from hub.spec import Boxes, Demo, ImageOutput
from hub.texts import Sentence, current, say, sentence

MOST_DECIMALS = 6
AGAIN = "Times are of the run that made this result; it was kept and shown again."
AMONG_OWN = "Among the examples and your own earlier ones, as the model sees them. 1 is the same."
AMONG_ALL = "Among the examples and everyone's earlier ones, as the model sees them. 1 is the same."


def by_label(demo: Demo, problem: HubError) -> HubError:
    """The problem as people read it: inputs have the names that stand above them, not those that programs use."""
    field = next((field for field in demo.inputs if field.name == problem.field), None)
    if field is None or not isinstance(problem.message, Sentence):
        return problem
    label = sentence(field.label)
    values = {key: label if text == field.name else text for key, text in problem.message.values.items()}
    labelled = copy(problem)
    labelled.message = Sentence(problem.message.template, values)
    return labelled


def percent(share: float) -> str:
    """`97.1 %` of a share in [0, 1]."""
    return in_percent(100 * share)


def in_percent(number: float) -> str:
    """`97.1 %` of 97.1."""
    return say("{number} %", number=f"{number:.1f}")


def duration(ms: float) -> str:
    """`1.25 s`, `35 ms`, `2.5 ms`."""
    if ms >= 1000:
        return say("{number} s", number=f"{ms / 1000:.2f}")
    return say("{number} ms", number=f"{ms:.0f}" if ms >= 10 else f"{ms:.1f}")


def decimals(values: Sequence[Any]) -> int | None:
    """How many decimals all numbers of a column are written with; None: it has no numbers."""
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    texts = [f"{value:.6g}" for value in numbers if isinstance(value, float)]
    if any("e" in text for text in texts):
        return MOST_DECIMALS
    return max((len(text.partition(".")[2]) for text in texts), default=0) if numbers else None


def heading(column: str) -> str:
    """A column's name as people read it."""
    return say(column.replace("_", " "))


def answer(headline: str) -> str:
    """A result in a few words, as `hub.sharing.headline` has them; those of old are known as a whole, or by parts."""
    if isinstance(headline, Sentence) or headline in current().texts:
        return say(headline)
    return say(", ").join(map(say, headline.split(", ")))


def above_line(above: int, count: int, line: float) -> str:
    """How many labels reach the line, which is in [0, 1]."""
    return say("{above} of {count} at or above the line at {share}", above=above, count=count, share=percent(line))


def how(receipt: Receipt) -> str:
    """Whether the model ran for it, and from where it came."""
    if receipt.cached:
        return say("answered before, shown again")
    return say("first use, model loaded" if receipt.cold else "model ready")


def facts(run: Receipt, id: str, seed: int | None) -> list[tuple[str, str]]:
    """What a result was made with: (name, value), not escaped."""
    batch = say("batch of {count}", count=run.batch_size) if run.batch_size else say("model not run again")
    entries = [
        (say("Model"), say("cold" if run.cold else "warm")),
        (say("Batch"), batch),
        (say("Device"), f"{run.device}, {run.dtype}, {run.backend}"),
        (say("Weights"), f"{run.weights} {run.digest[:12]}" if run.weights else say("none")),
        (say("Result"), id[:12]),
    ]
    return entries if seed is None else [*entries, (say("Seed"), str(seed))]


def picture_words(field: ImageOutput | Boxes, result: Result) -> str:
    """What an answer's picture says of itself, else what it is called."""
    return answer(result.pictures[field.name][0].caption) or say(field.label)


def day(when: float | str) -> str:
    """`21 Nov 2026`, or as the visitor's language has it, in UTC."""
    return moment(when).strftime(say("%-d %b %Y"))


def minute(when: float | str) -> str:
    """`21 Nov 2026, 12:00 UTC`, or as the visitor's language has it."""
    return moment(when).strftime(say("%-d %b %Y, %H:%M UTC"))


def moment(when: float | str) -> datetime:
    """A time of a record or of a document."""
    return datetime.fromisoformat(when) if isinstance(when, str) else datetime.fromtimestamp(when, UTC)


def setting(value: Any) -> str:
    """A parameter as people read it."""
    if isinstance(value, list | tuple):
        return say(", ").join(say(str(one)) for one in value) or say("none")
    if isinstance(value, bool):
        return say("yes" if value else "no")
    return f"{value:g}" if isinstance(value, float) else say(str(value))


def link_title(link: Link) -> str:
    """What a list of links calls one."""
    return link.note.splitlines()[0][:80] if link.note else answer(link.headline) or say("Result")


def link_facts(link: Link) -> str:
    """When it was made, when it ends, what was said about it."""
    up, down = say("{count} up", count=link.up), say("{count} down", count=link.down)
    thumbs = [up] * bool(link.up) + [down] * bool(link.down)
    until = [say("until {day}", day=day(link.expires))] if link.expires else []
    return " · ".join([say("made {day}", day=day(link.created)), *until, *thumbs])
