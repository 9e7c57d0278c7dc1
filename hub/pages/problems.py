"""What is wrong with a declaration as a whole, each with its fix."""

from __future__ import annotations

import inspect
import keyword
import re
from pathlib import Path
from typing import get_args

from hub.errors import InputError
from hub.pages import hints, inputs, over_video
from hub.pages.calls import wants_config
from hub.pages.declarations import field_problems
from hub.spec import Demo, Example, FileInput, Input, Output, Weights

# Names that routes of the hub, of Gradio or of later doors already use.
RESERVED_SLUGS = frozenset(
    """
    api app assets audit auth config corrections docs embed favicon file files gallery gradio_api grid healthz history
    home info links login logout manifest many mcp metrics openapi pictures proxy queue r readyz results robots
    static status streamlit svelte theme token upload usage user weights
    """.split()
)
RESERVED_NAMES = frozenset(
    {
        "config",
        "weights",
        "self",
        "output",
        "model",
        "items",
        "id",
        "receipt",
        "similar",
        "thumbnail",
        "links",
        "link",
        "correction",
    }
    | {"example", "history"}  # with `link`, what an address may name beside the inputs
)
NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def problems(slug: str, demo: Demo, assets: Path, functions: bool = True) -> list[str]:
    """What is wrong with a declaration, each with its fix; empty when it is valid. `functions`: they are looked at."""
    faults = []
    if not NAME.fullmatch(slug):
        faults.append(f"The slug {slug!r} must be lower-case letters, digits and _, and begin with a letter.")
    if slug in RESERVED_SLUGS:
        faults.append(f"The slug {slug!r} is a route of the hub; rename the file.")
    for attribute in ("title", "summary", "task"):
        if not isinstance(getattr(demo, attribute), str) or not getattr(demo, attribute).strip():
            faults.append(f"{attribute} is empty; write a few words.")
    for kind, entries in (("inputs", demo.inputs), ("outputs", demo.outputs)):
        if not isinstance(entries, tuple) or not entries:
            faults.append(f"{kind} must be a tuple with at least one field, such as (ImageInput('image', 'Photo'),).")
            return faults
        strangers = [e for e in entries if not isinstance(e, get_args(Input if kind == "inputs" else Output))]
        if strangers:
            faults.append(f"{kind}: {strangers[0]!r} is not one of the {kind[:-1]} fields of hub.spec.")
            return faults
        names = [f.name for f in entries]
        for name in dict.fromkeys(names):
            if not NAME.fullmatch(name) or keyword.iskeyword(name):
                faults.append(f"{kind}: {name!r} is not a valid name; use lower-case letters, digits and _.")
            if name in RESERVED_NAMES:
                faults.append(f"{kind}: the name {name!r} is reserved; choose another.")
            if names.count(name) > 1:
                faults.append(f"{kind}: {name!r} is declared {names.count(name)} times; names must differ.")
    faults += hints.problems(demo)
    if not faults:
        demo = hints.with_hints(demo)
    faults += field_problems(demo)
    if not isinstance(demo.max_batch, int) or demo.max_batch < 1:
        faults.append(f"max_batch is {demo.max_batch!r}; it must be a whole number, 1 or more.")
    if not _all_are(Weights, demo.weights):
        faults.append("weights must be a tuple of Weights, such as (Weights('my_model'),).")
    elif len({w.name for w in demo.weights}) != len(demo.weights):
        faults.append("weights: two have the same name; names must differ.")
    if not _all_are(Example, demo.examples):
        faults.append("examples must be a tuple of Example, such as (Example({'image': 'car.jpg'}, 'A car'),).")
    if not all(isinstance(text, str) for pair in dict(demo.names).items() for text in pair):
        faults.append("names must be a dict of texts, such as {'blow_down': 'trees blown down'}.")
    faults += _function_problems(demo) if functions else []
    faults += [] if faults or demo.video is None else over_video.problems(demo)
    return faults or _asset_problems(demo, assets)


def _all_are(kind: type, entries: object) -> bool:
    return isinstance(entries, tuple) and all(isinstance(entry, kind) for entry in entries)


def _function_problems(demo: Demo) -> list[str]:
    """Checks that each function can be called the way the engine calls it."""
    no_values = hints.without_hints(demo)
    calls: dict[str, tuple[tuple[None, ...], dict[str, None]]] = {
        "load": ((None, None), {}),
        "prepare": ((), no_values),
        "infer": ((None, None), {}),
        "present": ((None,), no_values),
    }
    faults = []
    for name, (positional, keywords) in calls.items():
        function = getattr(demo, name)
        if not callable(function):
            faults.append(f"{name} must be a function, got {function!r}.")
            continue
        signature = inspect.signature(function)
        extra = {"config": None} if name != "load" and wants_config(function) else {}
        try:
            signature.bind(*positional, **keywords, **extra)
        except TypeError as error:
            parameters = ", ".join(
                [*("model, items" if name == "infer" else "folder, device").split(", ")][: len(positional)]
            )
            parameters = {"prepare": ", ".join(no_values), "present": ", ".join(["output", *no_values])}.get(
                name, parameters
            )
            faults.append(f"{name}{signature} does not fit ({error}); write def {name}({parameters}).")
    return faults + ([] if demo.headline is None else _headline_problems(demo))


def _headline_problems(demo: Demo) -> list[str]:
    """The headline gets the outputs, and by name what it asks for: inputs and the config."""
    if not callable(demo.headline):
        return [f"headline must be a function or None, got {demo.headline!r}."]
    signature = inspect.signature(demo.headline)
    known = {*hints.without_hints(demo), "config"}
    try:
        signature.bind(None, **{name: None for name in list(signature.parameters)[1:] if name in known})
    except TypeError as error:
        return [
            f"headline{signature} does not fit ({error}); write def headline(outputs), with names of inputs or config "
            "behind it where it needs them."
        ]
    return []


def _asset_problems(demo: Demo, assets: Path) -> list[str]:
    faults = []
    if demo.cover and not (assets / demo.cover).is_file():
        faults.append(f"cover: there is no file {assets / demo.cover}.")
    images = {f.name for f in demo.inputs if isinstance(f, FileInput)}
    for number, example in enumerate(demo.examples):
        values = dict(example.inputs)
        if example.picture and not (assets / example.picture).is_file():
            faults.append(f"Example {number} ({example.title}): there is no file {assets / example.picture}.")
        for name in images & values.keys():
            if not (assets / str(values[name])).is_file():
                faults.append(f"Example {number} ({example.title}): there is no file {assets / str(values[name])}.")
            values[name] = assets / str(values[name])
        try:
            inputs.read(demo, values)
        except InputError as error:
            faults.append(f"Example {number} ({example.title}): {error.message}")
    return faults
