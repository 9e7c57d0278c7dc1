"""The same run as Python, curl and command line, for "Use it from code" and the docs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from hub.results import Result
from hub.spec import Choices, Demo, ImageInput, Text


def all_of(slug: str, demo: Demo, port: int) -> list[tuple[str, str, str]]:
    """(title, language, text) of each way to call a demo."""
    return [
        ("Python", "python", python(slug, demo, port)),
        ("curl", "shell", curl(slug, demo, port)),
        ("Command line", "shell", command(slug, demo)),
    ]


def python(slug: str, demo: Demo, port: int) -> str:
    arguments = [
        f"    {f.name}=" + ('handle_file("photo.jpg"),' if isinstance(f, ImageInput) else f"{_value(f)!r},")
        for f in demo.inputs
        if f.required or _value(f) is not None
    ]
    names = ", ".join([*(f.name for f in demo.outputs), "receipt"])
    body = "\n".join([*arguments, f'    api_name="/{slug}",'])
    return (
        "from gradio_client import Client, handle_file\n\n"
        f'client = Client("http://127.0.0.1:{port}")\n{names} = client.predict(\n{body}\n)\n'
    )


def curl(slug: str, demo: Demo, port: int) -> str:
    parts = [
        f"-F {f.name}=@photo.jpg" if isinstance(f, ImageInput) else f"-F {f.name}={_quoted(_value(f))}"
        for f in demo.inputs
        if isinstance(f, ImageInput) or _value(f) not in (None, [])
    ]
    return " \\\n  ".join([f"curl http://127.0.0.1:{port}/api/v1/demos/{slug}", *parts]) + "\n"


def command(slug: str, demo: Demo) -> str:
    parts = [
        "--image photo.jpg" if isinstance(f, ImageInput) else f"--set {f.name}={_quoted(_value(f))}"
        for f in demo.inputs
        if isinstance(f, ImageInput) or _value(f) not in (None, [])
    ]
    return " ".join([f"python -m hub run {slug}", *parts, "--out results/"]) + "\n"


def _value(field: Any) -> Any:
    if isinstance(field, Choices):
        return list(field.default)
    return "A text" if isinstance(field, Text) and field.default is None else getattr(field, "default", None)


def _quoted(value: Any) -> str:
    value = ",".join(value) if isinstance(value, list) else value
    return f"'{value}'" if isinstance(value, str) and not value.isalnum() else str(value)


def receipt_json(result: Result) -> dict[str, Any]:
    """A receipt as JSON data."""
    return asdict(result.receipt)
