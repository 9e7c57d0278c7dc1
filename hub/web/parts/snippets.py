"""The same run as Python, curl, JavaScript, command line and MCP, for "Use it from code". Tests run what they can."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hub.pages import kinds
from hub.results.result import Result
from hub.spec import AudioInput, Choices, Demo, FileInput, Marks, Number, PaintedMask, Seed, Slider, Text, VideoInput

PHOTO = "photo.jpg"
FILES: dict[type[Any], str] = {VideoInput: "video.mp4", AudioInput: "sound.wav", PaintedMask: "mask.png"}
MARKS = {"boxes": "[[20, 20, 80, 80]]", "points": "[[40, 40]]"}  # where a page has no example


def all_of(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> list[tuple[str, str, str]]:
    """(title, language, text) of each way to call a demo; `base` is where the hub is.

    `values` by name, where a page has some; a picture is a file in any case.
    """
    return [
        ("Python", "python", python(slug, demo, base, values)),
        ("curl", "shell", curl(slug, demo, base, values)),
        ("JavaScript", "javascript", javascript(slug, demo, base, values)),
        ("fetch", "javascript", fetch(slug, demo, base, values)),
        ("Command line", "shell", command(slug, demo, base, values)),
        ("MCP", "python", mcp(slug, demo, base, values)),
    ]


def python(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """With gradio_client."""
    arguments = [f'    {name}=handle_file("{_file_name(demo, name)}"),' for name in _pictures(demo)]
    arguments += [f"    {name}={value!r}," for name, value in _given(demo, values).items()]
    names = ", ".join([*(f.name for f in kinds.of_client(demo)), "receipt"])
    body = "\n".join([*arguments, f'    api_name="/{slug}",'])
    return (
        "from gradio_client import Client, handle_file\n\n"
        f'client = Client("{base}")\n{names} = client.predict(\n{body}\n)\n'
    )


def values_of(demo: Demo, result: Result) -> dict[str, Any]:
    """What a result was made with, as `python` takes it."""
    values = {name: list(v) if isinstance(v, tuple) else v for name, v in result.capsule["parameters"].items()}
    return values | ({"weights": result.capsule["weights"]} if len(demo.weights) > 1 else {})


def curl(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    parts = [f"-F {shlex.quote(f'{name}=@{_file_name(demo, name)}')}" for name in _pictures(demo)]
    # --form-string: a text that begins with @ or < is no file.
    parts += [f"--form-string {shlex.quote(f'{name}={text}')}" for name, text in _form(demo, values)]
    return " \\\n  ".join([f"curl {shlex.quote(f'{base}/api/v1/demos/{slug}')}", *parts]) + "\n"


def javascript(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """With the official client, in a browser or elsewhere."""
    arguments = [f'  {name}: handle_file("{_file_name(demo, name)}"),' for name in _pictures(demo)]
    arguments += [f"  {name}: {_literal(value)}," for name, value in _given(demo, values).items()]
    names = "Client, handle_file" if _pictures(demo) else "Client"
    body = "\n".join(arguments)
    return (
        f'import {{ {names} }} from "@gradio/client";\n\n'
        f"const client = await Client.connect({_literal(base)});\n"
        f'const answer = await client.predict("/{slug}", {{\n{body}\n}});\nconsole.log(answer.data);\n'
    )


def fetch(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """With nothing but the language: the REST door."""
    pictures = _pictures(demo)
    opening = (
        'import { openAsBlob } from "node:fs"; // in a browser, a file of an <input> instead\n\n' if pictures else ""
    )
    files = [(name, _file_name(demo, name)) for name in pictures]
    parts = [f'form.append("{name}", await openAsBlob("{file}"), "{file}");\n' for name, file in files]
    parts += [f'form.append("{name}", {_literal(text)});\n' for name, text in _form(demo, values)]
    return (
        f"{opening}const form = new FormData();\n{''.join(parts)}"
        f'const answer = await fetch({_literal(f"{base}/api/v1/demos/{slug}")}, {{ method: "POST", body: form }});\n'
        "console.log(await answer.json());\n"
    )


def command(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """On this hub from anywhere, and without a hub from a checkout."""
    words = [(name, _words(value)) for name, value in _given(demo, values).items() if _is_said(demo, name, value)]
    flags = [f"--{name.replace('_', '-')} {_file_name(demo, name)}" for name in _pictures(demo)]
    # With `=`: a text may begin with a dash.
    flags += [shlex.quote(f"--{name.replace('_', '-')}={text}") for name, text in words]
    settings = [
        f"--image {f'{name}=' if number else ''}{_file_name(demo, name)}" for number, name in enumerate(_pictures(demo))
    ]
    settings += [f"--set {shlex.quote(f'{name}={text}')}" for name, text in words]
    far = " ".join([f"python -m hub call {shlex.quote(base)} {slug}", *flags, "--out results/"])
    here = " ".join([f"python -m hub run {slug}", *settings, "--out results/"])
    return f"# on this hub:\n{far}\n# or without one, on this machine:\n{here}\n"


def mcp(slug: str, demo: Demo, base: str, values: Mapping[str, Any] | None = None) -> str:
    """With the official SDK; how to add the hub to an agent is in the comment."""
    pictures = _pictures(demo)
    read_as = {name: name if number else "picture" for number, name in enumerate(pictures)}
    arguments = [f'        "{name}": {read_as[name]},' for name in pictures]
    arguments += [f'        "{name}": {value!r},' for name, value in _given(demo, values).items()]
    read = "".join(
        f'    {read_as[name]} = base64.b64encode(Path("{_file_name(demo, name)}").read_bytes()).decode()\n'
        for name in pictures
    )
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


def _pictures(demo: Demo) -> list[str]:
    """The files that a call cannot do without."""
    return [f.name for f in demo.inputs if isinstance(f, FileInput) and f.required]


def _file_name(demo: Demo, name: str) -> str:
    """What an input's file is called in the snippets."""
    return FILES.get(type(next(f for f in demo.inputs if f.name == name)), PHOTO)


def _given(demo: Demo, values: Mapping[str, Any] | None) -> dict[str, Any]:
    """What else a call says, by name, with the types of JSON; what is left to the hub is not in it."""
    fields = [f for f in demo.inputs if not isinstance(f, FileInput)]
    if values is None:
        return {f.name: value for f in fields if (value := _value(demo, f)) is not None}
    given = {f.name: _typed(f, values[f.name]) for f in fields if f.name in values}
    if len(demo.weights) > 1:
        given["weights"] = values.get("weights")
    return {name: value for name, value in given.items() if value is not None}


def _typed(field: Any, value: Any) -> Any:
    if isinstance(field, Seed) and isinstance(value, str):  # it is written in a field of text
        text = value.strip()
        return int(text) if text.isascii() and text.isdigit() else None
    return list(value) if isinstance(value, tuple) else value


def _is_said(demo: Demo, name: str, value: Any) -> bool:
    """Whether a value has to be written where nothing is what nothing written means."""
    usual = next((getattr(f, "default", None) for f in demo.inputs if f.name == name), None)
    return value not in ([], "") or bool(usual)


def _form(demo: Demo, values: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """The same as fields of a form: a list is one field many times."""
    return [
        (name, _words(part))
        for name, value in _given(demo, values).items()
        if _is_said(demo, name, value)
        for part in ((value or [""]) if isinstance(value, list) else [value])
    ]


def _words(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)


def _literal(value: Any) -> str:
    """As JavaScript has it."""
    return json.dumps(value, ensure_ascii=False)


def _value(demo: Demo, field: Any) -> Any:
    """The default; a prompt and a seed are those of the first example, so that all ways give the same answer."""
    if isinstance(field, Choices):
        return list(field.default)
    if isinstance(field, Marks):
        value = demo.examples[0].inputs.get(field.name) if demo.examples else None
        return value or (MARKS[field.kind] if field.required else None)
    if isinstance(field, Slider) and field.default_from:
        return None  # left out, it is as suits the weights
    if isinstance(field, Seed) or (isinstance(field, Text | Number) and field.default is None):
        value = demo.examples[0].inputs.get(field.name) if demo.examples else None
        usual = {Text: "A text", Number: getattr(field, "minimum", None)}.get(type(field))
        return usual if value is None else value
    return getattr(field, "default", None)


def receipt_json(result: Result) -> dict[str, Any]:
    """A receipt as JSON data."""
    return asdict(result.receipt)
