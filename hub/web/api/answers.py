"""What REST answers, as JSON data: a result, a page in few words, a page in full."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from hub import describe
from hub.archive.similar import Match
from hub.engine.compare import Comparison, figures
from hub.engine.shown import iso
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.registry import Page
from hub.results.headline import headline
from hub.results.result import PAIRS, PLAYED, Picture, Result
from hub.spec import AudioOutput, Boxes, Gallery, ImageOutput, Json, Labels, Mask, Output, Plot, TextOutput, VideoOutput
from hub.web.api.schemas import pages
from hub.web.api.schemas.shapes import (
    ComparisonAnswer,
    DemoAnswer,
    ResultAnswer,
    ResultExtras,
    SimilarAnswer,
    SimilarPictureAnswer,
)
from hub.web.routes import API, FOREVER
from hub.weights import facts

RANGE = re.compile(r"bytes=(\d{0,12})-(\d{0,12})")  # one part; several are answered with all
SIMILAR_LIMIT, SIMILAR_MOST = 8, 50  # similar pictures where nobody says how many, and at most
KINDS: dict[type[Output], str] = {
    ImageOutput: "image",
    Mask: "mask",
    Labels: "labels",
    Json: "json",
    Gallery: "gallery",
    TextOutput: "text",
    Boxes: "boxes",
    VideoOutput: "video",
    AudioOutput: "audio",
    Plot: "plot",
}


def result_to_json(result: Result, page: Page | None, root_path: str = "") -> ResultAnswer:
    """A result as JSON data; pictures are URLs. `page` None: its demo is no longer here."""
    values = result.values
    demo = page.declared if page else None
    galleries = {f.name for f in demo.outputs if isinstance(f, Gallery)} if demo else set()
    names = [f.name for f in demo.outputs] if demo else [*result.pictures, *values]
    base = f"{root_path}{API}/results/{result.id}"
    outputs: dict[str, Any] = {}
    for name in names:
        if name in values:
            outputs[name] = values[name]
            if group := result.pictures.get(name, ()):  # of boxes the picture with and without them, and so on
                pair = PAIRS[group[-1].media_type]
                outputs[name] |= {key: f"{base}/{name}/{number}" for number, key in enumerate(pair)}
        elif name in result.pictures:
            group = result.pictures[name]
            entries = [{"url": f"{base}/{name}/{n}", "caption": p.caption} for n, p in enumerate(group)]
            outputs[name] = entries if name in galleries or len(group) != 1 else f"{base}/{name}"
    extras: ResultExtras = {}
    single = [name for name in outputs if len(result.pictures.get(name, ())) == 1 and name not in galleries]
    if captions := {name: text for name in single if (text := result.pictures[name][0].caption)}:
        extras["captions"] = captions
    if result.seed is not None:
        extras["seed"] = result.seed
    receipt = asdict(result.receipt)
    return {
        "id": result.id,
        "demo": result.capsule["page"],
        "headline": headline(demo, result) if demo else result.headline,
        "outputs": outputs,
        **extras,
        "receipt": receipt,
    }


def comparison_to_json(compared: Comparison, page: Page, root_path: str = "") -> ComparisonAnswer:
    """Both answers as `result_to_json` has them, and what differs."""
    a, b = result_to_json(compared.a, page, root_path), result_to_json(compared.b, page, root_path)
    return {"demo": page.slug, "a": a, "b": b, **figures(compared)}


def similar_to_json(result: Result, matches: Sequence[Match], complete: bool, root_path: str = "") -> SimilarAnswer:
    """What is similar to a result, nearest first."""
    base = f"{root_path}{API}/results"
    entries: list[SimilarPictureAnswer] = [
        {
            "kind": "result" if match.example is None else "example",
            "id": match.id,
            "url": f"{base}/{match.id}",
            "title": match.title,
            "similarity": match.similarity,
            "thumbnail": f"{base}/{match.id}/thumbnail",
            "created_at": None if match.created is None else iso(match.created),
        }
        for match in matches
    ]
    return {"id": result.id, "demo": result.capsule["page"], "similar": entries, "complete": complete}


def summary(hub: Hub, page: Page, root_path: str) -> DemoAnswer:
    """A page in few words."""
    url, state = f"{root_path}{API}/demos/{page.slug}", describe.state(hub, page)
    return {
        "slug": page.slug,
        "title": page.title,
        "summary": page.declared.summary if page.declared else "",
        "task": page.declared.task if page.declared else "",
        "url": url,
        "cover": f"{url}/assets/{quote(page.cover.name)}" if page.cover else None,
        "state": {"code": state.code, "text": state.text, "reason": state.reason},
    }


def detail(hub: Hub, page: Page, root_path: str) -> DemoAnswer:
    """A page with its schema, examples and weights; a broken one only says so."""
    head = summary(hub, page, root_path)
    demo = page.declared
    if demo is None:
        return head
    images = kinds.file_inputs(demo)
    weights = [asdict(facts) for facts in facts.weights_facts(hub.weights, page)]
    schemas = pages.outputs(demo)["properties"]
    return {
        **head,
        "note": demo.note,
        "inputs": pages.inputs(demo, "json", facts.all_options(hub.weights, page)),
        "outputs": [{"name": f.name, "type": KINDS[type(f)], "schema": schemas[f.name]} for f in demo.outputs],
        "examples": [
            {
                "title": example.title,
                "inputs": {k: v for k, v in example.inputs.items() if k not in images},
                "files": {k: f"{head['url']}/assets/{quote(str(v))}" for k, v in example.inputs.items() if k in images},
            }
            for example in demo.examples
        ],
        "weights": [{k: v for k, v in facts.items() if k != "card"} for facts in weights],
        "links": dict(demo.links),
    }


def pictures(page: Page) -> set[str]:
    """File names of a demo's example pictures and covers: what of its assets may be served."""
    demo, cards = page.demo, {path.name for path in page.cards()}
    images = kinds.file_inputs(demo)
    files = {str(value) for example in demo.examples for name, value in example.inputs.items() if name in images}
    return files | cards | {demo.cover, *(example.picture for example in demo.examples)} - {""}


def send_picture(request: Request, picture: Picture, tag: str) -> Response:
    """An encoded picture, kept by browsers for ever, by its own tag, as what it is."""
    headers = {"ETag": f'"{tag}"', "Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
    tags = [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]
    if f'"{tag}"' in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'inline; filename="{tag[:8]}{tag[32:]}.{picture.extension}"'
    if picture.media_type in PLAYED:
        return _send_part(request, picture, headers)
    return Response(picture.data, media_type=picture.media_type, headers=headers)


def _send_part(request: Request, picture: Picture, headers: dict[str, str]) -> Response:
    """A video or sound: players ask for the part that they are at, and some play nothing where they get all."""
    size, headers = len(picture.data), {**headers, "Accept-Ranges": "bytes"}
    asked = RANGE.fullmatch(request.headers.get("range", "")[:60])
    if asked is None or not any(asked.groups()):
        return Response(picture.data, media_type=picture.media_type, headers=headers)
    first, last = asked.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    if start > end:
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
    headers["Content-Range"] = f"bytes {start}-{end}/{size}"
    return Response(picture.data[start : end + 1], 206, headers, picture.media_type)
