"""What an address such as `/<slug>?threshold=0.4&example=2&weights=...` asks a page to show. Draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hub.archive.history_store import HistoryEntry
from hub.decoding.played import media
from hub.errors import HubError, InputError
from hub.hub import Hub
from hub.pages import inputs
from hub.pages.registry import Page
from hub.results.result import Picture
from hub.spec import Choices, FileInput, ImageInput, PaintedMask
from hub.suggest import unknown
from hub.texts import joined, sentence
from hub.weights import facts

EXAMPLE, LINK, HISTORY, WEIGHTS = "example", "link", "history", "weights"
# What the hub (the language), Gradio, Streamlit, and those who count visitors, put into addresses; an input of the
# same name is the page's.
NOT_OURS, NOT_OURS_BEGIN = {"fbclid", "gclid", "view", "deep_link", "session_hash", "logs", "lang"}, ("__", "utm_")
MOST = 64  # parameters that are looked at


@dataclass(slots=True)
class Filled:
    """What an address asks a page to show."""

    values: dict[str, Any] = field(default_factory=dict)  # by input name; a picture is a file
    notes: list[str] = field(default_factory=list)  # what was filled in
    problems: list[str] = field(default_factory=list)  # what was not: what was given, what is allowed


def read(hub: Hub, page: Page, query: Iterable[tuple[str, str]], folder: Path, owner: str = "") -> Filled:
    """The values that an address gives: an example's, then a shared result's, a run's of `owner`'s history, its own.

    Pictures of results and runs are written to `folder`. Never raises a HubError: its text is among the problems.
    """
    values_by_name: dict[str, list[str]] = {}
    for name, value in [*query][:MOST]:
        if is_ours(page, name):
            values_by_name.setdefault(name, []).append(value)
    filled = Filled()
    steps = ((_fill_example, EXAMPLE), (_fill_shared, LINK), (partial(_fill_own_run, owner), HISTORY))
    for step, name in steps:
        if name in values_by_name:
            try:
                step(hub, page, values_by_name.pop(name)[-1], folder, filled)
            except HubError as error:
                filled.problems.append(error.message)
    fill_values(hub, page, values_by_name, filled)
    return filled


def is_ours(page: Page, name: str) -> bool:
    declared = any(entry.name == name for entry in page.demo.inputs)
    return declared or (name not in NOT_OURS and not name.startswith(NOT_OURS_BEGIN))


def _fill_example(hub: Hub, page: Page, text: str, folder: Path, filled: Filled) -> None:
    count = len(page.demo.examples)
    if not (text.isascii() and text.isdigit() and len(text) < 4 and 1 <= int(text) <= count):
        what = "a whole number from 1 to {count}" if count else "left out: this page has none"
        raise InputError(
            "{name} must be {what}, got {given!r}.", name=EXAMPLE, what=sentence(what, count=count), given=text[:40]
        )
    example = page.demo.examples[int(text) - 1]
    weights = str(example.inputs.get(WEIGHTS, ""))
    filled.values |= {**facts.defaults(hub.weights, page, weights), **example.inputs}
    for entry in page.demo.inputs:
        if isinstance(entry, FileInput) and entry.name in example.inputs:
            filled.values[entry.name] = str(page.assets / str(example.inputs[entry.name]))
    filled.notes.append(sentence("Filled in: {title}.", title=sentence(example.title)))


def _fill_shared(hub: Hub, page: Page, id: str, folder: Path, filled: Filled) -> None:
    link, document = hub.sharing.links.read(id)
    if link.page != page.slug:
        raise InputError("That shared result is of another page: {title}.", title=sentence(document["page"]["title"]))
    again = document["again"]
    parameters: dict[str, Any] = {**again["parameters"]}
    if again["weights"]:
        parameters[WEIGHTS] = again["weights"]
    fill_values(hub, page, {name: [value] for name, value in parameters.items()}, filled)
    missing = []
    for entry in document["inputs"]:
        declared = next((f for f in page.demo.inputs if f.name == entry["name"]), None)
        if not isinstance(declared, FileInput):
            continue
        if entry["file"] and isinstance(
            declared, ImageInput | PaintedMask
        ):  # of videos and sounds a link only has a picture
            picture = hub.sharing.links.file(id, entry["file"])
            filled.values[entry["name"]] = _write_picture(picture, entry["name"], id, folder)
        else:
            missing.append(entry["label"])
    filled.notes.append("Filled in as in the shared result. Change what you like, then run.")
    if missing:
        filled.notes.append(sentence("Left out there, so choose your own: {names}.", names=joined(missing)))
    if again["version"] != page.demo.version:
        filled.notes.append("This page has changed since that result was made, so the answer may differ.")


def _fill_own_run(owner: str, hub: Hub, page: Page, id: str, folder: Path, filled: Filled) -> None:
    entry = hub.history.get(owner, id)
    if entry.page != page.slug:
        raise InputError("That run is of another page: {page}.", page=entry.page)
    fill_run(hub, page, entry, folder, filled)
    filled.notes.append("Filled in as you ran it. Change what you like, then run.")


def fill_run(hub: Hub, page: Page, entry: HistoryEntry, folder: Path, filled: Filled) -> None:
    """What a run was asked, and its pictures as far as they are held."""
    parameters: dict[str, list[Any]] = {name: [value] for name, value in entry.parameters.items()}
    if entry.weights:
        parameters[WEIGHTS] = [entry.weights]
    fill_values(hub, page, parameters, filled)
    for name in entry.inputs:
        field = next((f for f in page.demo.inputs if isinstance(f, FileInput) and f.name == name), None)
        data = hub.history.picture(entry, name) if field else None
        if field is not None and data is None:
            filled.notes.append(sentence("Not held any more, so choose it again: {name}.", name=sentence(field.label)))
        elif data is not None:
            path = folder / f"history-{entry.id}" / f"{name}.{_extension(data)}"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data)
            filled.values[name] = str(path)
    if entry.version != page.demo.version:
        filled.notes.append("This page has changed since then, so the answer may differ.")


def fill_values(hub: Hub, page: Page, values_by_name: Mapping[str, Sequence[Any]], filled: Filled) -> None:
    """Checks named values as a run does; keeps the good ones, and adds a problem for each bad one."""
    demo = page.demo
    fields = {f.name: f for f in demo.inputs}
    names = [w.name for w in demo.weights]
    weights = values_by_name.get(WEIGHTS, [None])[-1]
    if weights is not None and weights not in names:
        filled.problems.append(unknown("weights", str(weights), names))
    elif weights is not None:
        filled.values |= {WEIGHTS: weights, **facts.own_defaults(hub.weights, page, str(weights))}
    weights_name = filled.values.get(WEIGHTS) or (names[0] if names else None)
    for name, values in values_by_name.items():
        entry = fields.get(name)
        if name == WEIGHTS:
            continue
        if entry is None:
            allowed = [n for n, f in fields.items() if not isinstance(f, FileInput)]
            filled.problems.append(unknown("input", name, [*allowed, *([WEIGHTS] if names else []), EXAMPLE]))
        elif isinstance(entry, FileInput):
            problem = "{name} is a file, which an address cannot hold: choose it, or name an example."
            filled.problems.append(sentence(problem, name=name))
        elif len(values) > 1 and not isinstance(entry, Choices):
            problem = "{name} is given {count} times; give it once."
            filled.problems.append(sentence(problem, name=name, count=len(values)))
        else:
            value = list(values) if len(values) > 1 else values[0]
            try:
                filled.values |= inputs.parameters(
                    demo, {name: value}, weights_name, lambda weights: hub.weights.find(weights).config
                )
            except HubError as error:
                filled.problems.append(error.message)


def _extension(data: bytes) -> str:
    """As browsers know what they play by its address."""
    reader, kind = media.kind_of(data)
    kind = kind.lower()
    return "mp4" if reader == media.MP4 else "jpg" if kind == "jpeg" else kind


def _write_picture(picture: Picture, name: str, id: str, folder: Path) -> str:
    path = folder / f"link-{id}" / f"{name}.{picture.extension}"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture.data)
    return str(path)
