"""The gallery in the OpenAPI document: its paths, and the shapes of its answers."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from hub.archive import gallery
from hub.archive.gallery import PAGES_MOST, PER_PAGE, PER_PAGE_MOST, TEXT_CHARS
from hub.batch.small import MOST
from hub.web.api.schemas import shapes
from hub.web.api.schemas.shapes import (
    BINARY,
    OBJECT,
    TEXT,
    Count,
    Instant,
    ReceiptFields,
    Schema,
    SeedNumber,
    in_path,
    in_query,
    json_body,
    json_of,
    make_operation,
    pages_in_query,
    ref,
)
from hub.web.routes import API

TAG = "Gallery"
WORDS: Schema = {"type": "string", "pattern": "\\S"}
FILTER: Schema = {"type": "string", "maxLength": TEXT_CHARS}
DAY: Schema = {"anyOf": [{"type": "string", "format": "date"}, {"const": ""}]}
COUNT: Schema = shapes.schema_of(Count)
SEED: Schema = shapes.schema_of(SeedNumber)
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
    seed: SeedNumber | None
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


class DrawnPictureAnswer(TypedDict):
    """One picture of a cell."""

    url: str
    caption: str
    width: Count
    height: Count


class DrawnCellAnswer(TypedDict):
    """What a cell shows, once it is drawn."""

    cell: str
    id: str
    pictures: list[DrawnPictureAnswer]
    receipt: ReceiptFields


class GridCellAnswer(TypedDict):
    """One cell of a grid: what it is to show and, in the document at the end, what it shows or why it failed."""

    cell: str
    subject: str
    style: str
    seed: SeedNumber
    prompt: str
    settings: dict[str, Any]
    open: str
    id: NotRequired[str]
    pictures: NotRequired[list[DrawnPictureAnswer]]
    receipt: NotRequired[ReceiptFields]
    problem: NotRequired[str]


class GridPlanAnswer(TypedDict):
    """What a grid is to show."""

    run: str
    demo: str
    weights: str
    digest: str
    subjects: list[str]
    styles: list[str]
    seeds: list[SeedNumber]
    gallery: str
    cells: list[GridCellAnswer]


class GridAnswer(GridPlanAnswer):
    """A grid at the end: `kept` are those that a stored result answered."""

    drawn: Count
    kept: Count
    failed: Count
    seconds: float


def paths() -> dict[str, Any]:
    """The operations, by path."""
    kinds = {"seed": SEED, "since": DAY, "until": DAY}
    filters = [in_query(name, kinds.get(name, FILTER), HELP.get(name, "")) for name in gallery.FILTERS]
    paging = pages_in_query(PAGES_MOST, PER_PAGE, PER_PAGE_MOST)
    order = in_query("order", {"type": "string", "enum": list(gallery.ORDER_NAMES), "default": "new"})
    runs = [{**in_query(side, WORDS, "A grid"), "required": True} for side in ("a", "b")]
    ids = in_query("ids", TEXT, "Ids of pictures with commas between")
    kind = in_query("format", {"type": "string", "enum": ["zip", "csv"], "default": "zip"})
    id = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
    one = [in_path("id", id)]
    files = {"application/zip": BINARY, "text/csv": TEXT}
    search = _get("searchGallery", "Pictures made from words", ref("Pictures"), [*filters, *paging, order])
    search["get"]["description"] = WHO
    return {
        f"{API}/gallery": search,
        f"{API}/gallery/facets": _get("listGalleryFilters", "Values of the filters, with counts", OBJECT, []),
        f"{API}/gallery/pairs": _get(
            "compareGrids", "Pictures of the same subject, style and seed of two grids", ref("Pairs"),
            [*runs, *filters, *paging],
        ),
        f"{API}/gallery/download": _file("download", "Pictures and prompts.csv", files, [*filters, ids, kind], 422),
        f"{API}/demos/{{slug}}/grid": {"post": _grid()},
        f"{API}/gallery/{{id}}": _get("getPicture", "One picture's settings", ref("Picture"), one, 404),
        f"{API}/gallery/{{id}}/image": _file(
            "getPictureFile", "A picture's file", {"image/png": BINARY, "image/jpeg": BINARY}, one, 404
        ),
        f"{API}/gallery/{{id}}/thumbnail": _file(
            "getPictureThumbnail", "At most 256 pixels a side", {"image/webp": BINARY}, one, 404
        ),
    }  # fmt: skip


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(PicturesAnswer, PairsAnswer, GridAnswer)


def _grid() -> Schema:
    """A small grid: its body, one document, and the events it is told with."""
    lines = {"type": "string", "description": "A line for each"}
    texts = {"oneOf": [{"type": "array", "items": TEXT}, lines]}
    subjects = {"oneOf": [{"type": "array", "items": WORDS, "minItems": 1}, {**lines, **WORDS}]}
    seeds = {"oneOf": [TEXT, COUNT, {"type": "array", "items": SEED}], "default": "1"}
    seeds["description"] = "How many (4), or which (7,12,40-49)"
    wish = {"subjects": subjects, "styles": texts, "seeds": seeds, "template": TEXT, "settings": OBJECT, "run": TEXT}
    events = {"type": "string", "description": "Events plan, cell, picture and failed, at the end result or error."}
    body = {"type": "object", "properties": wish, "required": ["subjects"], "additionalProperties": False}
    text = (
        f"At most {MOST} pictures, each a run that counts. Who closes the connection cancels what is not drawn; the "
        "same request again draws only what is missing. A cell that failed has `problem` in the place of `pictures`."
    )
    operation = make_operation(
        "drawGrid",
        "Every subject in every style with every seed",
        {**json_of(ref("Grid")), "text/event-stream": events},
        (404, 415, 422, 429, 503),
        tag=TAG,
        text=text,
        parameters=[in_path("slug")],
    )
    return {**operation, "requestBody": json_body(body)}


def _get(id: str, summary: str, answer: Schema, parameters: list[Schema], problem: int = 422) -> dict[str, Any]:
    return _file(id, summary, json_of(answer), parameters, problem)


def _file(id: str, summary: str, content: Schema, parameters: list[Schema], problem: int) -> dict[str, Any]:
    return {"get": make_operation(id, summary, content, (problem,), tag=TAG, parameters=parameters)}
