"""Corrections in the OpenAPI document: their paths, and the shapes of their answers."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from typing_extensions import TypedDict

from hub.archive.corrections.parts import Kind
from hub.archive.corrections.store import Verdict
from hub.archive.gallery import PAGES_MOST, PER_PAGE, PER_PAGE_MOST
from hub.people.terms import NOTE_CHARS
from hub.web.api.schemas import links, pages, shapes
from hub.web.api.schemas.shapes import (
    BINARY,
    TEXT,
    Address,
    Count,
    Instant,
    ResultId,
    Schema,
    in_path,
    in_query,
    json_body,
    json_of,
    make_operation,
    pages_in_query,
    ref,
)

ID: Schema = {"type": "string", "pattern": "^[0-9a-f]{24}$"}
RIGHT = (
    "What is right, by output: a label; a list of labels; a number; a list with a number or null for each row; "
    "{point: [x, y] or null}; a list of boxes {label, x0, y0, x1, y1}; a text. What is as it was may be left out."
)


class PartAnswer(TypedDict):
    """A part of an answer that can be set right."""

    name: str
    label: str
    kind: Kind
    answer: Annotated[Any, Field(description="In the form that a correction of it has")]
    options: Annotated[list[str], Field(description="Labels that there are")]
    rows: list[str]
    size: Annotated[list[int], Field(description="Width and height in pixels of what boxes are in")]


class CorrectionAnswer(TypedDict):
    """What somebody said of an answer."""

    id: Annotated[str, Field(pattern="^[0-9a-f]{24}$")]
    demo: str
    title: str
    result: ResultId | None
    link: Annotated[str | None, Field(description="Of a shared result, its link")]
    headline: str
    verdict: Verdict
    correction: Annotated[dict[str, Any], Field(description=RIGHT)]
    parts: list[PartAnswer]
    note: Annotated[str, Field(max_length=NOTE_CHARS)]
    weights: str
    digest: str
    created_at: Instant
    pictures: Annotated[dict[str, Address], Field(description="Those that may be kept, by input")]
    mine: bool


class CorrectionsAnswer(TypedDict):
    """Some corrections, the newest first."""

    total: Count
    page: int
    per_page: int
    everybody: Annotated[bool, Field(description="Whether they are of all, as who administers the hub sees them")]
    corrections: list[CorrectionAnswer]
    demos: list[dict[str, Any]]


class CorrectableAnswer(TypedDict):
    """What can be said of a result."""

    parts: list[PartAnswer]
    pictured: Annotated[bool, Field(description="Whether a picture went in, which may be kept")]
    said: Annotated[CorrectionAnswer | None, Field(description="What who asks said before")]


def paths() -> dict[str, Any]:
    """The operations, by path."""
    result, one = in_path("id", pages.ID), in_path("id", ID)
    answer, problems = json_of(ref("Correction")), (400, 403, 404, 413, 415, 422, 429, 503)
    say = make_operation("correctResult", "Say whether a result is right, and what is", answer, (*problems, 409),
                         status=201, tag="Corrections")  # fmt: skip
    say["description"] = (
        "For who ran it (the cookie hub_session of then, the same user or address). A second word on the same result "
        "replaces the first. 409: the picture is to be kept, and is no longer held; run it again."
    )
    say |= {"parameters": [result], "requestBody": json_body(wanted())}
    told = json_of(ref("Correctable"))
    look = make_operation("getCorrectable", "What can be said of a result", told, (403, 404, 503), tag="Corrections")
    look["parameters"] = [result]
    view = make_operation(
        "getResultInput", "A picture that went in, at most 1280 pixels long, for who ran it", {"image/jpeg": BINARY},
        (403, 404, 503), tag="Corrections", parameters=[result, in_path("name")],
        text="The header Picture-Size (WxH) is how large it was: points and boxes are in those pixels.",
    )  # fmt: skip
    of_link = make_operation("correctLink", "Say whether a shared result is right, and what is", answer,
                             (*problems, 410), status=201, tag="Corrections")  # fmt: skip
    of_link |= {"parameters": [in_path("id", links.ID)], "requestBody": json_body(wanted())}
    listed = make_operation("listCorrections", "What you said; with the role admin, what all said",
                            json_of(ref("Corrections")), (422, 503), tag="Corrections")  # fmt: skip
    listed["parameters"] = [
        in_query("demo", TEXT, "Of one page"),
        in_query("verdict", {"type": "string", "enum": ["", "right", "wrong"]}),
        *pages_in_query(PAGES_MOST, PER_PAGE, PER_PAGE_MOST),
    ]
    get = make_operation("getCorrection", "One correction", answer, (404, 503), tag="Corrections", parameters=[one])
    gone = make_operation("deleteCorrection", "Delete a correction with its picture", {}, (404, 503), status=204,
                          tag="Corrections", parameters=[one])  # fmt: skip
    picture = make_operation("getCorrectionPicture", "A picture that is kept with a correction",
                             {"image/png": BINARY, "image/jpeg": BINARY}, (404, 503), tag="Corrections",
                             parameters=[one, in_path("name")])  # fmt: skip
    return {
        "/api/v1/results/{id}/correction": {"get": look, "post": say},
        "/api/v1/results/{id}/correction/{name}": {"get": view},
        "/api/v1/links/{id}/correction": {"post": of_link},
        "/api/v1/corrections": {"get": listed},
        "/api/v1/corrections/{id}": {"get": get, "delete": gone},
        "/api/v1/corrections/{id}/pictures/{name}": {"get": picture},
    }


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(CorrectionAnswer, CorrectionsAnswer, CorrectableAnswer)


def wanted() -> Schema:
    """What is sent."""
    verdict: Schema = {"type": "string", "enum": ["right", "wrong"]}
    properties = {
        "verdict": verdict,
        "correction": {"type": ["object", "null"], "description": RIGHT},
        "note": {**TEXT, "maxLength": NOTE_CHARS},
        "keep_picture": {"type": "boolean", "description": "The hub may keep the picture that went in"},
    }
    return {"type": "object", "properties": properties, "required": ["verdict"], "additionalProperties": False}
