"""The same run as Python, curl, command line and MCP, for "Use it from code". Tests run them all."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hub.results.result import Result
from hub.spec import Choices, Demo, ImageInput, Number, Seed, Slider, Text

PHOTO = "photo.jpg"


def all_of(slug: str, demo: Demo, base: str) -> list[tuple[str, str, str]]:
    """(title, language, text) of each way to call a demo; `base` is where the hub is."""
    return [
        ("Python", "python", python(slug, demo, base)),
        ("curl", "shell", curl(slug, demo, base)),
        ("Command line", "shell", command(slug, demo, base)),
        ("MCP", "python", mcp(slug, demo, base)),
    ]


def python(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """`values` by name, where it is a certain result's call; a picture is a file in any case."""
    given = {f.name: _value(demo, f) for f in demo.inputs} if values is None else values
    pictures = {f.name: f.required for f in demo.inputs if isinstance(f, ImageInput)}
    arguments = [f'    {name}=handle_file("{PHOTO}"),' for name, required in pictures.items() if required]
    arguments += [
        f"    {name}={value!r}," for name, value in given.items() if name not in pictures and value is not None
    ]
    names = ", ".join([*(f.name for f in demo.outputs), "receipt"])
    body = "\n".join([*arguments, f'    api_name="/{slug}",'])
    return (
        "from gradio_client import Client, handle_file\n\n"
        f'client = Client("{base}")\n{names} = client.predict(\n{body}\n)\n'
    )


def values_of(demo: Demo, result: Result) -> dict[str, Any]:
    """What a result was made with, as `python` takes it."""
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in result.capsule["parameters"].items()}
    return values | ({"weights": result.capsule["weights"]} if len(demo.weights) > 1 else {})


def curl(slug: str, demo: Demo, base: str) -> str:
    parts = [f"-F {name}={value}" for name, value in _words(demo, "@")]
    return " \\\n  ".join([f"curl {shlex.quote(f'{base}/api/v1/demos/{slug}')}", *parts]) + "\n"


def command(slug: str, demo: Demo, base: str) -> str:
    """On this hub from anywhere, and without a hub from a checkout."""
    flags = [f"--{name.replace('_', '-')} {value}" for name, value in _words(demo, "")]
    pictures = {f.name for f in demo.inputs if isinstance(f, ImageInput)}
    settings = [f"--image {v}" if n in pictures else f"--set {n}={v}" for n, v in _words(demo, "")]
    far = " ".join([f"python -m hub call {shlex.quote(base)} {slug}", *flags, "--out results/"])
    here = " ".join([f"python -m hub run {slug}", *settings, "--out results/"])
    return f"# on this hub:\n{far}\n# or without one, on this machine:\n{here}\n"


def mcp(slug: str, demo: Demo, base: str) -> str:
    """With the official SDK; how to add the hub to an agent is in the comment."""
    pictures = any(isinstance(f, ImageInput) and f.required for f in demo.inputs)
    arguments = [
        f'        "{f.name}": ' + ("picture," if isinstance(f, ImageInput) else f"{_value(demo, f)!r},")
        for f in demo.inputs
        if f.required or _value(demo, f) not in (None, [])
    ]
    read = f'    picture = base64.b64encode(Path("{PHOTO}").read_bytes()).decode()\n' if pictures else ""
    imports = "import asyncio\n" + ("import base64\nfrom pathlib import Path\n" if pictures else "")
    body = "\n".join(arguments)
    return (
        f"# An agent takes the address {base}/mcp (streamable HTTP);\n"
        f"# one on this machine may also start: python -m hub mcp\n{imports}\nfrom mcp import Client\n\n\n"
        f"async def main():\n{read}    arguments = {{\n{body}\n    }}\n"
        f'    async with Client("{base}/mcp") as client:\n'
        f'        answer = await client.call_tool("{slug}", arguments)\n'
        "    print(answer.structured_content)\n\n\n"
        "asyncio.run(main())\n"
    )


def _words(demo: Demo, at: str) -> list[tuple[str, str]]:
    """Inputs with a value to show, as a shell takes them; `at` is what stands before a file's name."""
    return [
        (f.name, f"{at}{PHOTO}" if isinstance(f, ImageInput) else _quote(_value(demo, f)))
        for f in demo.inputs
        if f.required or _value(demo, f) not in (None, [])
    ]


def _value(demo: Demo, field: Any) -> Any:
    """The default; a prompt and a seed are those of the first example, so that all ways give the same answer."""
    if isinstance(field, Choices):
        return list(field.default)
    if isinstance(field, Slider) and field.default_from:
        return None  # left out, it is as suits the weights
    if isinstance(field, Seed) or (isinstance(field, Text | Number) and field.default is None):
        value = demo.examples[0].inputs.get(field.name) if demo.examples else None
        usual = {Text: "A text", Number: getattr(field, "minimum", None)}.get(type(field))
        return usual if value is None else value
    return getattr(field, "default", None)


def _quote(value: Any) -> str:
    value = ",".join(value) if isinstance(value, list) else value
    return shlex.quote(str(value)) or "''"


def receipt_json(result: Result) -> dict[str, Any]:
    """A receipt as JSON data."""
    return asdict(result.receipt)
