"""The hub's pages as MCP tools: what a tool takes, and what its answer is made of."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from mcp.types import CallToolResult, ContentBlock, ImageContent, TextContent, Tool, ToolAnnotations
from PIL import Image

from hub.decoding import budget
from hub.errors import HubError
from hub.hub import Hub
from hub.images import encode
from hub.pages import kinds
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import Picture, Result
from hub.spec import AudioInput, FileInput, ImageInput, Mask, PaintedMask, VideoInput
from hub.web.api.schemas import pages
from hub.web.mcp import pictures as mcp_pictures
from hub.web.routes import API
from hub.weights import facts

LONGEST = 1568  # pixels; models that look at pictures scale larger ones down themselves
PICTURE: dict[str, Any] = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"type": {"const": "image"}, "data": {"type": "string"}, "mimeType": {"type": "string"}},
            "required": ["data"],
        },
    ]
}


# --- what a tool is -------------------------------------------------------------------------------


def tool(hub: Hub, page: Page, files: bool) -> Tool:
    """The tool of a working page. `files`: pictures may be named by their path on this machine."""
    demo = page.demo
    input_schema = pages.inputs(demo, "json", facts.all_options(hub.weights, page))
    for field in demo.inputs:
        if isinstance(field, FileInput):
            title, words = field.label, f"{field.help.rstrip('.')}. " if field.help else ""
            properties = {"title": title, "description": words + _ways(field, files), **PICTURE}
            input_schema["properties"][field.name] = properties
    return Tool(
        name=page.slug,
        title=demo.title,
        description=_description(page),
        input_schema=input_schema,
        output_schema=_output_schema(page),
        # The same inputs give the same stored result, and nothing but results is written.
        annotations=ToolAnnotations(read_only_hint=True, destructive_hint=False, open_world_hint=False),
    )


def _ways(field: FileInput, files: bool) -> str:
    what = {ImageInput: "picture", VideoInput: "video", AudioInput: "sound", PaintedMask: "mask"}[type(field)]
    ways = [f"the {what} file in base64 (plain, or as a data: URL)"]
    ways += ["MCP image content"] * isinstance(field, ImageInput | PaintedMask)
    ways += ["the path of a file on this machine"] * files
    return f"One of: {', '.join(ways)}, or the {API} address of a {what} of this hub, such as an example's."


def _description(page: Page) -> str:
    demo = page.demo
    lines = [demo.summary, demo.note, "Answers " + ", ".join(f"{f.name} ({f.label})" for f in demo.outputs) + "."]
    names = kinds.file_inputs(demo)
    examples = [
        f"{example.title}: {API}/demos/{page.slug}/assets/{quote(str(value))}"
        for example in demo.examples
        for name, value in example.inputs.items()
        if name in names
    ]
    lines += ["Examples: " + "; ".join(examples) + "."] if examples else []
    return "\n".join(filter(None, lines))


def _output_schema(page: Page) -> dict[str, Any]:
    demo, all_outputs = page.demo, pages.outputs(page.demo)
    values = {f.name for f in demo.outputs if kinds.has_value(f)}
    text, number = {"type": "string"}, {"type": "integer"}
    picture = {"output": text, "width": number, "height": number, "caption": text, "url": {**text, "format": "uri"}}
    properties: dict[str, Any] = {
        "id": pages.ID,
        "demo": {"type": "string", "const": page.slug},
        "headline": {**text, "description": "The answer in a few plain words"},
        "outputs": {
            **all_outputs,
            "properties": {name: one for name, one in all_outputs["properties"].items() if name in values},
            "required": [name for name in all_outputs["required"] if name in values],
        },
        "pictures": {
            "type": "array",
            "description": "What each image of the content is, in their order; at `url` it has its full size",
            "items": {"type": "object", "properties": picture, "required": ["output", "width", "height", "caption"]},
        },
        "seed": {**number, "description": "The seed that was used"},
        "receipt": pages.receipt(),
    }
    return {"type": "object", "properties": properties, "required": [name for name in properties if name != "seed"]}


# --- arguments ------------------------------------------------------------------------------------


def inputs(hub: Hub, page: Page, arguments: Mapping[str, Any], files: bool) -> dict[str, Any]:
    """A call's arguments as the engine takes them. Raises InputError, also for what the engine never sees."""
    pictures = kinds.file_inputs(page.demo)
    return {
        name: mcp_pictures.read_argument(hub, name, value, files) if name in pictures else value
        for name, value in arguments.items()
    }


# --- answers --------------------------------------------------------------------------------------


def answer(result: Result, page: Page, base: str) -> CallToolResult:
    """A result as structured content, and as text and images for a model. `base`: where the hub is; empty: nowhere."""
    demo, values = page.demo, result.values
    fields = {f.name: f for f in demo.outputs}
    picture_entries: list[dict[str, Any]] = []
    contents: list[ContentBlock] = []
    shown = result.front_pictures
    for name in (name for name in fields if name in shown):
        for number, picture in enumerate(shown[name]):
            path = f"{API}/results/{result.picture_path(name, number)}"
            entry = {"output": name, "width": picture.width, "height": picture.height, "caption": picture.caption}
            picture_entries.append({**entry, **({"url": base + path} if base else {})})
            label = f"{fields[name].label}: {picture.caption}" if picture.caption else fields[name].label
            contents += [TextContent(text=label), _image(picture, exact=isinstance(fields[name], Mask))]
    structured = {
        "id": result.id,
        "demo": page.slug,
        "headline": headline(demo, result),
        "outputs": {name: values[name] for name in fields if name in values},
        "pictures": picture_entries,
        **({} if result.seed is None else {"seed": result.seed}),
        "receipt": asdict(result.receipt),
    }
    # The same as text, for clients that know no structured content; before it the answer in words.
    text = TextContent(text=json.dumps(structured, ensure_ascii=False, separators=(",", ":")))
    words = [TextContent(text=said)] if (said := headline(demo, result)) else []
    return CallToolResult(content=[*words, text, *contents], structured_content=structured)


def _image(picture: Picture, exact: bool) -> ImageContent:
    """The picture, scaled down to what a model can see; a mask keeps every pixel."""
    data = picture.data
    if not exact and max(picture.width, picture.height) > LONGEST:
        with budget.opened(data) as image:
            image.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            data = encode(image, "jpeg" if picture.media_type == "image/jpeg" else "png")
    return ImageContent(data=base64.b64encode(data).decode(), mime_type=picture.media_type)


def failure(error: HubError) -> CallToolResult:
    """What went wrong, in the hub's own words, for the model that called."""
    return CallToolResult(content=[TextContent(text=f"{error.title}: {error.message}")], is_error=True)
