"""Two sets of weights on the same inputs: both answers, and what differs between them in figures."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from typing import Any, TypedDict, TypeGuard

from hub.engine.differences import NumberPair, Pair, PictureDifference, pairs, rows
from hub.engine.engine import Engine
from hub.engine.jobs import Cancel
from hub.errors import CancelledError, HubError, InputError
from hub.pages import inputs
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.results.result import Result
from hub.spec import Choice, Choices, Demo, Input, Progress, Seed, Slider
from hub.suggest import unknown
from hub.texts import Sentence, joined, sentence
from hub.weights.store import PATIENCE_S

OnSide = Callable[[str, str, Progress | None], None]  # side, "a" or "b"; then stage and progress as Engine.run tells


@dataclass(frozen=True, slots=True)
class Comparison:
    """The answers of weights A and B. `notes`: where one side could not be asked exactly what was given."""

    a: Result
    b: Result
    rows: tuple[NumberPair, ...]
    pictures: tuple[Pair, ...]
    notes: tuple[str, ...]


class Figures(TypedDict):
    """What differs: each `NumberPair` and each `PictureDifference` by the names of its fields."""

    rows: list[dict[str, Any]]
    pictures: list[dict[str, Any]]
    notes: list[str]


def compare(
    engine: Engine,
    slug: str,
    raw: Mapping[str, Any],
    a: str = "",
    b: str = "",
    *,
    cancel: Cancel | None = None,
    caller: Caller | None = None,
    on_event: OnSide = lambda side, stage, progress: None,
) -> Comparison:
    """Runs the same inputs with weights `a` and with weights `b`; empty: the page's first, and the next other one.

    Inputs are as `Engine.run` takes them, without `weights`. Raises HubError.
    """
    page = engine.seen.to_run(slug, caller)
    demo, cancel = page.demo, cancel or Cancel()
    if "weights" in raw:
        raise InputError("A comparison takes weights_a and weights_b, not weights.", field="weights")
    names = choose_weights(page, a, b)
    raw = _seeded(demo, raw)
    both, notes = _inputs_of_sides(engine, demo, raw, names)
    values_a, values_b = both

    def run(side: str, weights: str, values: dict[str, Any]) -> Result:
        on_stage = partial(on_event, side)
        if cancel.is_set():
            raise CancelledError("The comparison was cancelled.")
        try:
            both = {**values, "weights": weights}
            return engine.run(slug, both, on_event=on_stage, cancel=cancel, caller=caller)
        except (InputError, CancelledError):
            raise
        except HubError as error:
            raise _with_weights_named(error, weights) from None

    # One after the other: on one device the two models would slow each other down, might not fit into memory
    # together, and neither receipt would tell what its weights take.
    result_a, result_b = run("a", names[0], values_a), run("b", names[1], values_b)
    return Comparison(result_a, result_b, rows(demo, result_a, result_b), pairs(demo, result_a, result_b), notes)


def figures(comparison: Comparison) -> Figures:
    """What differs, as JSON data, the same through every door; the pictures themselves are in both answers."""
    names = [field.name for field in fields(PictureDifference)]
    pictures = [{name: getattr(pair, name) for name in names} for pair in comparison.pictures]
    return {"rows": [asdict(row) for row in comparison.rows], "pictures": pictures, "notes": list(comparison.notes)}


# --- what is asked --------------------------------------------------------------------------------


def choose_weights(page: Page, a: str = "", b: str = "") -> tuple[str, str]:
    """Names of the two sets of weights. Raises InputError."""
    names = [w.name for w in page.demo.weights]
    if len(names) < 2:
        if not names:
            raise InputError(
                "{title} has no weights; a comparison needs two sets.", title=sentence(page.title), field="weights_b"
            )
        raise InputError(
            "{title} has only the weights {weights!r}; a comparison needs two sets. Start the hub with "
            "--weights {page}=./FOLDER (or =hf://owner/name) to add some.",
            title=sentence(page.title),
            weights=names[0],
            page=page.slug,
            field="weights_b",
        )
    for field, name in (("weights_a", a), ("weights_b", b)):
        if name and name not in names:
            raise InputError(unknown("weights", str(name), names), field=field)
    a = a or next(name for name in names if name != b)
    b = b or next(name for name in names if name != a)
    if a == b:
        others = ", ".join(repr(name) for name in names if name != a)
        raise InputError(
            "weights_a and weights_b are both {weights!r}; a comparison needs two. Give one of them as {others}.",
            weights=a,
            others=others,
            field="weights_b",
        )
    return a, b


def _seeded(demo: Demo, raw: Mapping[str, Any]) -> dict[str, Any]:
    """With a seed for both, drawn here where none was given."""
    seeds = {f.name: raw.get(f.name) for f in demo.inputs if isinstance(f, Seed)}
    return {**raw, **inputs.parameters(demo, seeds)}


def _inputs_of_sides(
    engine: Engine, demo: Demo, raw: Mapping[str, Any], names: Sequence[str]
) -> tuple[tuple[dict[str, Any], dict[str, Any]], tuple[str, ...]]:
    """The inputs of each side, and a note for each option that only one of them has and for defaults that differ.

    Such an option falls back to the default. One that neither has is left to `Engine.run` to refuse.
    """
    both, notes = (dict(raw), dict(raw)), list[str]()
    for field in demo.inputs:
        if not _of_weights(field, raw.get(field.name)):
            continue
        configs = [engine.weights.obtain(name, patience_s=PATIENCE_S).config for name in names]
        if isinstance(field, Slider):
            a, b = (inputs.default(field, name, config) for name, config in zip(names, configs, strict=True))
            if a != b:
                values = "{label}: each set has its own value, {a:g} for A and {b:g} for B."
                notes.append(sentence(values, label=sentence(field.label), a=a, b=b))
            continue
        choices = [inputs.options(field, name, config) for name, config in zip(names, configs, strict=True)]
        ticked = _options_asked(demo, field, raw[field.name], {*choices[0], *choices[1]})
        for number, (own, other) in enumerate((choices, choices[::-1])):
            foreign = [option for option in ticked if option not in own and option in other]
            if not foreign:
                continue
            shared = tuple(option for option in ticked if option not in foreign)
            value = shared or field.default if isinstance(field, Choices) else field.default
            both[number][field.name] = value
            notes.append(_fallback(field, names[number], foreign, "AB"[number], value))
    return both, tuple(notes)


def _fallback(field: Input, weights: str, missing: Sequence[str], side: str, value: str | Sequence[str]) -> Sentence:
    """That a side ran with other options than were asked for."""
    template = "{label}: weights '{name}' have no '{missing}', so {side} ran without."
    if value:
        template = "{label}: weights '{name}' have no '{missing}', so {side} ran with '{value}'."
    lacks, ran = joined(missing, "', '"), joined([value] if isinstance(value, str) else value, "', '")
    return sentence(template, label=sentence(field.label), name=weights, missing=lacks, side=side, value=ran)


def _of_weights(field: Input, value: Any) -> TypeGuard[Choice | Choices | Slider]:
    """Whether the meaning of this value depends on the weights."""
    if isinstance(field, Slider):
        return bool(field.default_from) and value in (None, "")
    return isinstance(field, Choice | Choices) and bool(field.options_from) and value is not None


def _options_asked(demo: Demo, field: Choice | Choices, value: Any, choices: set[str]) -> tuple[str, ...]:
    """The options a value asks for. Raises InputError."""
    if isinstance(value, str) and value in choices:  # a name from a config may have a comma
        return (value,)
    value_read = inputs.parameters(demo, {field.name: value})[field.name]
    return (value_read,) if isinstance(value_read, str) else tuple(value_read)


def _with_weights_named(error: HubError, weights: str) -> HubError:
    """A copy that says whose error it is."""
    copied = copy.copy(error).with_traceback(None)
    if weights not in error.message:
        copied.message = sentence("With weights {name!r}: {message}", name=weights, message=error.message)
    copied.args = (copied.message,)
    return copied
