"""The gallery in the OpenAPI document: its paths, and the shapes of its answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from hub.archive import gallery
from hub.archive.gallery import PAGES_MOST, PER_PAGE, PER_PAGE_MOST, TEXT_CHARS
from hub.batch.small import MOST
from hub.pages.inputs import SEED_LIMIT
from hub.web.api import shapes
from hub.web.api.shapes import Count, Instant, Schema
from hub.web.routes import API

TEXT: Schema = {"type": "string"}
WORDS: Schema = {"type": "string", "pattern": "\\S"}
FILTER: Schema = {"type": "string", "maxLength": TEXT_CHARS}
DAY: Schema = {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}]}
OBJECT: Schema = {"type": "object"}
COUNT: Schema = {"type": "integer", "minimum": 0}
SEED: Schema = {"type": "integer", "minimum": 0, "maximum": SEED_LIMIT - 1}
HELP = {
    "q": "Words of the prompt, subject, style, page or model; each may be the beginning of one",
    "model": "Weights: NAME or NAME@DIGEST",
    "run": "A grid; `single` for runs that are no grid's",
    "since": "A day such as 2026-11-21",
    "until": "A day such as 2026-11-21, itself included",
}
WHO = (
    "Grids are shown to all. Single runs are shown to the browser session that made them (cookie hub_session), to "
    "everyone or to nobody, as the setting `similar` says."
)


class PictureAnswer(TypedDict):
    """One picture made from words."""

    id: str
    demo: str
    prompt: str
    subject: str
    style: str
    seed: Annotated[int, Field(ge=0, le=SEED_LIMIT - 1)] | None
    weights: str
    digest: str
    run: str
    created_at: Instant
    width: Count
    height: Count
    caption: str
    settings: Annotated[dict[str, Any], Field(description="All inputs that are no pictures")]
    begins_from: Annotated[list[str], Field(description="Pictures it began from, by name of the input")]
    title: str
    image: str
    thumbnail: str
    open: Annotated[str | None, Field(description="Opens its page with all settings; null: it is not here")]


class PairAnswer(TypedDict):
    """What two grids have of the same subject, style and seed."""

    a: PictureAnswer
    b: PictureAnswer


class PicturesAnswer(TypedDict):
    """One page of the pictures that were looked for."""

    total: Count
    page: Count
    per_page: Count
    pictures: list[PictureAnswer]


class PairsAnswer(TypedDict):
    """One page of the pairs of two grids."""

    total: Count
    page: Count
    per_page: Count
    pairs: list[PairAnswer]


def paths() -> dict[str, Any]:
    """The operations, by path."""
    kinds = {"seed": SEED, "since": DAY, "until": DAY}
    filters = [_query(name, kinds.get(name, FILTER), HELP.get(name, "")) for name in gallery.FILTERS]
    paging = [_query("page", {"type": "integer", "minimum": 1, "maximum": PAGES_MOST, "default": 1})]
    paging.append(_query("per_page", {"type": "integer", "minimum": 1, "maximum": PER_PAGE_MOST, "default": PER_PAGE}))
    order = _query("order", {"type": "string", "enum": list(gallery.ORDER_NAMES), "default": "new"})
    runs = [{**_query(side, WORDS, "A grid"), "required": True} for side in ("a", "b")]
    ids = _query("ids", TEXT, "Ids of pictures with commas between")
    kind = _query("format", {"type": "string", "enum": ["zip", "csv"], "default": "zip"})
    id = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
    one = [{"name": "id", "in": "path", "required": True, "schema": id}]
    files = {"application/zip": _binary(), "text/csv": TEXT}
    search = _get("searchGallery", "Pictures made from words", _ref("Pictures"), [*filters, *paging, order])
    search["get"]["description"] = WHO
    return {
        f"{API}/gallery": search,
        f"{API}/gallery/facets": _get("listGalleryFilters", "Values of the filters, with counts", OBJECT, []),
        f"{API}/gallery/pairs": _get(
            "compareGrids", "Pictures of the same subject, style and seed of two grids", _ref("Pairs"),
            [*runs, *filters, *paging],
        ),
        f"{API}/gallery/download": _file("download", "Pictures and prompts.csv", files, [*filters, ids, kind], 422),
        f"{API}/demos/{{slug}}/grid": {"post": _grid()},
        f"{API}/gallery/{{id}}": _get("getPicture", "One picture's settings", _ref("Picture"), one, 404),
        f"{API}/gallery/{{id}}/image": _file(
            "getPictureFile", "A picture's file", {"image/png": _binary(), "image/jpeg": _binary()}, one, 404
        ),
        f"{API}/gallery/{{id}}/thumbnail": _file(
            "getPictureThumbnail", "At most 256 pixels a side", {"image/webp": _binary()}, one, 404
        ),
    }  # fmt: skip


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(PicturesAnswer, PairsAnswer)


def _grid() -> Schema:
    """A small grid: its body, one document, and the events it is told with."""
    lines = {"type": "string", "description": "A line for each"}
    texts = {"oneOf": [{"type": "array", "items": TEXT}, lines]}
    subjects = {"oneOf": [{"type": "array", "items": WORDS, "minItems": 1}, {**lines, **WORDS}]}
    seeds = {"oneOf": [TEXT, COUNT, {"type": "array", "items": SEED}], "default": "1"}
    seeds["description"] = "How many (4), or which (7,12,40-49)"
    wish = {"subjects": subjects, "styles": texts, "seeds": seeds, "template": TEXT, "settings": OBJECT, "run": TEXT}
    cell = _object({"cell": TEXT, "subject": TEXT, "style": TEXT, "seed": SEED, "prompt": TEXT, "settings": OBJECT,
                    "open": TEXT})  # fmt: skip
    counts = dict.fromkeys(("drawn", "kept", "failed"), COUNT)
    found = _object({"run": TEXT, "demo": TEXT, "cells": {"type": "array", "items": cell}, **counts})
    told = {"type": "string", "description": "Events plan, cell, picture and failed, at the end result or error."}
    parameters = [{"name": "slug", "in": "path", "required": True, "schema": TEXT}]
    operation: Schema = _file(
        "drawGrid", "Every subject in every style with every seed",
        {"application/json": {**found, "additionalProperties": True}, "text/event-stream": told}, parameters, 422,
    )["get"]  # fmt: skip
    for status in ("404", "415", "429", "503"):
        operation["responses"][status] = {"$ref": f"#/components/responses/Problem{status}"}
    body = {"type": "object", "properties": wish, "required": ["subjects"], "additionalProperties": False}
    operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    operation["description"] = (
        f"At most {MOST} pictures, each a run that counts. Who closes the connection cancels what is not drawn; the "
        "same request again draws only what is missing. A cell that failed has `problem` in the place of `pictures`."
    )
    return operation


def _get(id: str, summary: str, answer: Schema, parameters: list[Schema], problem: int = 422) -> dict[str, Any]:
    return _file(id, summary, {"application/json": answer}, parameters, problem)


def _file(id: str, summary: str, content: Schema, parameters: list[Schema], problem: int) -> dict[str, Any]:
    kinds = {kind: {"schema": schema} for kind, schema in content.items()}
    answers = {
        "200": {"description": summary, "content": kinds},
        str(problem): {"$ref": f"#/components/responses/Problem{problem}"},
    }
    found = {"operationId": id, "summary": summary, "tags": ["Gallery"], "responses": answers}
    return {"get": {**found, "parameters": parameters} if parameters else found}


def _query(name: str, schema: Schema, help: str = "") -> Schema:
    return {"name": name, "in": "query", "schema": schema, **({"description": help} if help else {})}


def _binary() -> Schema:
    return {"type": "string", "format": "binary"}


def _object(properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
