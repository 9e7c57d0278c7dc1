"""Many pictures and jobs as MCP tools. Their names have a hyphen, which no page's has."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mcp.types import CallToolResult, TextContent, Tool, ToolAnnotations

from hub.errors import InputError
from hub.hub import Hub
from hub.jobs import given
from hub.jobs.folders import NewFolder
from hub.jobs.jobs import Wish
from hub.jobs.measured import mask_output
from hub.jobs.reading import picture_input
from hub.jobs.records import StoredJob
from hub.jobs.rows import Wanted
from hub.jobs.summary import summarise
from hub.jobs.tables import row_to_json
from hub.jobs.zips import is_left_out
from hub.people.users import Caller
from hub.web.api import bodies
from hub.web.api.jobs import job_to_json
from hub.web.mcp import pictures as mcp_pictures
from hub.web.mcp.tools import PICTURE

MANY, JOB = "many-pictures", "job-status"
ROWS = 50  # of a batch that are told with its status: the unsure ones
HEAD_BYTES = 8


def tools(hub: Hub, files: bool) -> list[Tool]:
    """Both tools; none where no page takes many pictures. `files`: a client on this machine may name a folder."""
    slugs = [page.slug for page in hub.visible if picture_input(page.declared)]
    if not slugs or not hub.settings.jobs_disk_mb:
        return []
    text = {"type": "string"}
    properties: dict[str, Any] = {
        "page": {**text, "enum": slugs},
        "pictures": {"type": "array", "items": PICTURE, "description": "As the page's own tool takes one"},
        "zip": {**text, "description": "A ZIP of pictures in base64; a labels.csv in it says what is true of them"},
        "settings": {"type": "object", "description": "The page's other inputs, for all pictures"},
        "truth": {**text, "enum": list(given.TRUTHS), "description": "Whether a picture's folder is what is true"},
    }
    if files:
        properties["folder"] = {**text, "description": "Path of a folder or a ZIP on this machine"}
    many = Tool(
        name=MANY,
        title="Many pictures",
        description="Runs a page on many pictures, as a job: answers at once with its id; ask job-status for the rest.",
        input_schema={"type": "object", "properties": properties, "required": ["page"], "additionalProperties": False},
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False),
    )
    wish = {"id": text, "cancel": {"type": "boolean", "default": False}}
    job = Tool(
        name=JOB,
        title="How a job stands",
        description="State, time left, counts, and the rows of which it was least sure. cancel: ends it.",
        input_schema={"type": "object", "properties": wish, "required": ["id"], "additionalProperties": False},
        annotations=ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False),
    )
    return [many, job]


def call(
    hub: Hub, name: str, arguments: Mapping[str, Any], who: Caller | None, base: str, files: bool
) -> CallToolResult:
    """What either tool answers. Raises HubError."""
    if name == MANY:
        job = _ask(hub, arguments, who, files)
    else:
        job = hub.jobs.get(str(arguments.get("id", "")))
        if arguments.get("cancel") is True and not job.has_ended:
            job = hub.jobs.cancel(job.id, who) or job
    structured: dict[str, Any] = {**job_to_json(hub.jobs.view(job), base)}
    if job.kind == "batch":
        demo = hub.visible.get(job.page).demo
        summary = summarise(hub.jobs.rows, job, demo)
        structured["labels"] = dict(summary.names)
        if summary.score:
            structured["score"] = {one.name: [one.value, one.low, one.high] for one in summary.score.figures}
        rows, _ = hub.jobs.rows.some(job.id, Wanted(), "unsure", ROWS, 0)
        structured["rows"] = [row_to_json(row) for row in rows]
    text = json.dumps(structured, ensure_ascii=False, separators=(",", ":"), default=str)
    return CallToolResult(content=[TextContent(text=text)], structured_content=json.loads(text))


def _ask(hub: Hub, arguments: Mapping[str, Any], who: Caller | None, files: bool) -> StoredJob:
    """Writes what was given into a new folder, and asks for the job."""
    slug, settings = str(arguments.get("page", "")), arguments.get("settings") or {}
    if not isinstance(settings, Mapping):
        raise InputError("settings must be an object of the page's inputs by name.", field="settings")
    folder = hub.jobs.begin_batch(slug, who, Wish())
    promised = False
    try:
        filled = _fill(hub, folder, arguments, files)
        most = hub.settings.batch_pictures
        pictures = given.list_pictures(
            folder.path,
            filled,
            most,
            str(arguments.get("truth") or "auto"),
            masks=bool(mask_output(hub.visible.get(slug).demo)),
        )
        job = hub.jobs.ask_batch(folder, slug, settings, pictures, [], who, Wish())
        promised = True
        return job
    finally:
        if not promised:
            folder.close(False)


def _fill(hub: Hub, folder: NewFolder, arguments: Mapping[str, Any], files: bool) -> list[tuple[str, str, bytes]]:
    """Name, file and first bytes of each."""
    filled: list[tuple[str, str, bytes]] = []

    def add(name: str, data: bytes) -> None:
        file = f"file-{len(filled)}"
        folder.write(file, data)
        filled.append((name, file, data[:HEAD_BYTES]))

    pictures = arguments.get("pictures") or []
    if not isinstance(pictures, list):
        raise InputError("pictures must be a list.", field="pictures")
    for number, value in enumerate(pictures, 1):
        data = mcp_pictures.read_argument(hub, f"pictures[{number}]", value, files)
        name = data.name if isinstance(data, Path) else f"picture-{number}"
        add(name, _bytes_of(data, hub.limits.max_bytes))
    if arguments.get("zip"):
        add("pictures.zip", _bytes_of(bodies.decode_picture("zip", arguments["zip"]), hub.jobs.batch_bytes))
    if files and arguments.get("folder"):
        _add_folder(Path(str(arguments["folder"])).expanduser(), hub.settings.batch_pictures, add)
    return filled


def _bytes_of(data: Any, most: int) -> bytes:
    if isinstance(data, Path):
        with data.open("rb") as file:
            return file.read(most + 1)
    if not isinstance(data, bytes):
        raise InputError("A picture must be text in base64, or an object with data.", field="pictures")
    return data


def _add_folder(path: Path, most: int, add: Callable[[str, bytes], None]) -> None:
    try:
        if path.is_file():
            add(path.name, path.read_bytes())
            return
        found = sorted(one for one in path.rglob("*") if one.is_file() and not is_left_out(str(one.relative_to(path))))
        for one in found[: most + 1]:
            add(one.relative_to(path).as_posix(), one.read_bytes())
    except OSError as error:
        raise InputError("folder: {path} cannot be read: {why}.", path=str(path), why=error.strerror or "") from None
