"""A grid of pictures as it is planned: subjects x styles x seeds on one page, each cell with all its settings."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from string import Formatter
from typing import Any

from hub.errors import InputError
from hub.files import parse_json
from hub.hub import Hub
from hub.pages import inputs
from hub.pages.kinds import picture_outputs, prompt_input
from hub.spec import FileInput, Seed
from hub.suggest import unknown

FORMAT = 1
MOST_CELLS = 1_000_000
RUN = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
PLACES = ("subject", "style")
MOST_CHARS = 1000  # of the template, of a subject, of a style


@dataclass(frozen=True, slots=True)
class Cell:
    """One picture to draw. `name` is a hash of all it depends on: the same cell has the same file name."""

    name: str
    subject: str
    style: str
    seed: int
    prompt: str
    parameters: Mapping[str, Any]  # all inputs of the page, with prompt and seed


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole grid; it is written down once, and whoever draws reads the same cells from it."""

    run: str
    created_at: str
    page: str
    version: str  # of the page's preparing and presenting
    weights: str
    digest: str  # of the weights
    subjects: tuple[str, ...]
    styles: tuple[str, ...]  # ("",) for none
    seeds: tuple[int, ...]
    prompts: tuple[str, ...]  # of each style and subject, style by style
    parameters: Mapping[str, Any]  # checked values of all inputs but prompt and seed
    prompt_input: str
    seed_input: str
    format: int = FORMAT

    def __len__(self) -> int:
        return len(self.subjects) * len(self.styles) * len(self.seeds)

    def cells(self, style: str | None = None) -> Iterator[Cell]:
        """All cells, style by style; those of one `style` only, where it is given."""
        prompts = iter(self.prompts)
        for own in self.styles:
            for subject in self.subjects:
                prompt = next(prompts)
                for seed in self.seeds if style in (None, own) else ():
                    parameters = {**self.parameters, self.prompt_input: prompt, self.seed_input: seed}
                    yield Cell(self._name(parameters), subject, own, seed, prompt, parameters)

    def _name(self, parameters: Mapping[str, Any]) -> str:
        origin = {"page": self.page, "version": self.version, "weights": self.weights, "digest": self.digest}
        text = json.dumps({**origin, "parameters": parameters}, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def inputs(self, cell: Cell) -> dict[str, Any]:
        """The inputs of a cell, as `Engine.run` takes them."""
        return {**cell.parameters, **({"weights": self.weights} if self.weights else {})}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, ensure_ascii=False)


def read(text: str) -> Plan:
    """The plan in a text of `to_json`. Raises ValueError."""
    data = parse_json(text)
    try:
        if data["format"] != FORMAT:
            raise ValueError(f"it has format {data['format']}, this program reads {FORMAT}")
        lists = {name: tuple(data[name]) for name in ("subjects", "styles", "seeds", "prompts")}
        return Plan(**{**data, **lists})
    except (KeyError, TypeError):
        raise ValueError("it is no plan of a grid, or pieces of it are missing") from None


def make(
    hub: Hub,
    slug: str,
    subjects: Sequence[str],
    styles: Sequence[str],
    seeds: Sequence[int],
    *,
    template: str = "",
    settings: Mapping[str, Any] | None = None,
    run: str = "",
    patience_s: float | None = None,
) -> Plan:
    """Checks everything before anything is drawn; fetches weights that are on the Hub. Raises HubError.

    `template` makes prompts of `{subject}` and `{style}`; `settings` are the page's other inputs, with `weights`.
    With `patience_s`, who has waited so long for a download is told how far it is; it goes on meanwhile.
    """
    demo = hub.registry.get(slug).demo
    prompt, seed = prompt_input(demo), next((f.name for f in demo.inputs if isinstance(f, Seed)), "")
    if not prompt or not seed or not picture_outputs(demo):
        raise InputError(
            "{title} cannot fill a grid: that takes a page with a text, a seed and pictures.", title=demo.title
        )
    values = dict(settings or {})
    for name in (prompt, seed):
        if name in values:
            raise InputError(
                "{name} comes from the grid's subjects, styles and seeds; leave it out.", name=name, field=name
            )
    if pictures := [f.name for f in demo.inputs if isinstance(f, FileInput) and values.get(f.name)]:
        raise InputError("A grid begins from words alone; leave {name} out.", name=pictures[0], field=pictures[0])
    subjects, styles, seeds = (
        _listed("subject", subjects),
        _listed("style", styles) or ("",),
        tuple(dict.fromkeys(seeds)),
    )
    if not subjects or not seeds:
        raise InputError("A grid takes one subject and one seed at least.")
    if len(subjects) * len(styles) * len(seeds) > MOST_CELLS:
        raise InputError("A grid has at most {most_cells:,} pictures. Make several.", most_cells=MOST_CELLS)
    _check(template)

    def config(name: str) -> Mapping[str, Any]:
        return hub.weights.obtain(name, patience_s=patience_s).config

    # Each is read as it is made: the first that is too long for the page ends it.
    prompts = (_prompt(template, subject, style) for style in styles for subject in subjects)
    checked_inputs = [
        inputs.read(demo, {**values, prompt: text, seed: seeds[0]}, hub.limits, config) for text in prompts
    ]
    for number in seeds:
        inputs.parameters(demo, {seed: number})
    folder = hub.weights.obtain(checked_inputs[0].weights, patience_s=patience_s) if checked_inputs[0].weights else None
    return Plan(
        run=run_name(run),
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        page=slug,
        version=demo.version,
        weights=folder.name if folder else "",
        digest=folder.digest if folder else "",
        subjects=subjects,
        styles=styles,
        seeds=seeds,
        prompts=tuple(one.parameters[prompt] for one in checked_inputs),
        parameters={k: v for k, v in checked_inputs[0].parameters.items() if k not in (prompt, seed)},
        prompt_input=prompt,
        seed_input=seed,
    )


def run_name(text: str = "") -> str:
    """A run's name, a new one where none is given. Raises InputError."""
    name = text or f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
    if not RUN.fullmatch(name):
        raise InputError("A run's name has up to 64 of a-z, 0-9, - and _, got {name!r}.", name=name[:80], field="run")
    return name


def _listed(name: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Each once, in their order. Raises InputError."""
    each_once = tuple(dict.fromkeys(text.strip() for text in texts))
    if name == "subject" and "" in each_once:
        raise InputError("A subject is empty: write what the picture shows.", field=name)
    for text in each_once:
        _short(name, text)
    return each_once


def _short(name: str, text: str) -> None:
    if len(text) > MOST_CHARS:
        raise InputError(
            "{name} has {count} characters; at most {most} are read. Shorten it.",
            name=name,
            count=len(text),
            most=MOST_CHARS,
            field=name,
        )


def _check(template: str) -> None:
    """Raises InputError for a template of anything but `{subject}` and `{style}`; none at all is fine."""
    _short("template", template)
    try:
        parts = [part for part in Formatter().parse(template) if part[1] is not None]
    except ValueError as error:
        raise InputError(
            "The template {template!r} cannot be read: {reason}.",
            template=template[:80],
            reason=error,
            field="template",
        ) from None
    for _, name, format_spec, conversion in parts:
        if name not in PLACES:
            raise InputError(unknown("part of the template", name or "", list(PLACES)), field="template")
        if format_spec or conversion:  # a width of ten digits would take all memory
            text = "Write {subject} and {style} as they are, with nothing after a : or !."
            raise InputError(text, field="template")
    if template and not any(name == "subject" for _, name, _, _ in parts):
        raise InputError("The template must hold {subject}.", field="template")


def _prompt(template: str, subject: str, style: str) -> str:
    """The words of one picture."""
    text = template or ("{subject}, {style}" if style else "{subject}")
    return " ".join(text.format(subject=subject, style=style).split()).strip(" ,")
