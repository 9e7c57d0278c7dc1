"""Links in the OpenAPI document: their paths, and the shapes of their answers."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, get_args

from pydantic import Field
from typing_extensions import TypedDict

from hub.archive.links import LinkState, Thumb
from hub.people.terms import ALPHABET, DAYS_MOST, FEEDBACK_CHARS, ID_CHARS, NOTE_CHARS
from hub.web.api.schemas import pages, shapes
from hub.web.api.schemas.shapes import (
    TEXT,
    Count,
    Instant,
    ReceiptFields,
    Schema,
    in_path,
    json_body,
    json_of,
    make_operation,
    ref,
)

PATTERN = f"^[A-Za-z0-9]{{{ID_CHARS}}}$"
ID: Schema = {"type": "string", "pattern": PATTERN, "description": "Cannot be guessed"}
SECRET: Schema = {
    "name": "X-Link-Secret",
    "in": "header",
    "schema": TEXT,
    "description": "What making the link answered; or send the cookie hub_session that made it",
}
assert ALPHABET.isalnum(), "the pattern above says so"

LinkId = Annotated[str, Field(pattern=PATTERN, description="Cannot be guessed")]
Entries = list[dict[str, Any]]


class LinkAnswer(TypedDict):
    """A link, without what it shows."""

    id: LinkId
    url: Annotated[str, Field(description="The page to send to people", json_schema_extra={"format": "uri"})]
    demo: str
    state: LinkState
    headline: Annotated[str, Field(description="The answer in a few words")]
    note: str
    created_at: Instant
    expires_at: Instant | None
    size_bytes: Count
    thumbs_up: Count
    thumbs_down: Count
    comments: Count


class LinkMadeAnswer(LinkAnswer):
    """A link, to who made it."""

    secret: Annotated[str, Field(description="Ends the link and reads its feedback; told this once")]


class FeedbackAnswer(TypedDict):
    """What one viewer said."""

    link: LinkId
    created_at: Instant
    thumb: Thumb
    text: Annotated[str, Field(max_length=FEEDBACK_CHARS)]


class SharedRun(TypedDict):
    """What a link shows, with addresses of files; and to its owner what people said."""

    inputs: Annotated[Entries, Field(description="Pictures by `file`, an address; empty where they were left out")]
    parameters: Entries
    weights: dict[str, Any] | None
    receipt: ReceiptFields
    outputs: Entries
    feedback: NotRequired[Annotated[list[FeedbackAnswer], Field(description="For the link's owner")]]


class LinkShownAnswer(LinkAnswer, SharedRun):
    """A link and what it shows."""


def paths() -> dict[str, Any]:
    """The operations, by path."""
    result = in_path("id", pages.ID)
    link = in_path("id", ID)
    make = _operation(
        "post", "makeLink", "Make a link to a result", "LinkMade", 201, (400, 404, 409, 413, 415, 422, 429, 503)
    )
    make["post"]["description"] = (
        "The link keeps a copy of the result, and of its inputs unless they are left out. 409: the hub no longer "
        "holds a picture of the run, or does not know who asks as who ran it (send the cookie hub_session with both, "
        "or sign in); send the same run again, then this, or leave it out. Without a cookie or a user nobody owns the "
        "link, and it ends after 30 days at most: expires_at tells."
    )
    make["post"] |= {"parameters": [result], "requestBody": json_body(_wanted())}
    say = _operation("post", "sayFeedback", "Say what you think of a shared result", "Feedback", 201,
                     (400, 404, 410, 413, 415, 422, 429, 503))  # fmt: skip
    say["post"] |= {"parameters": [link], "requestBody": json_body(_feedback())}
    show = _operation(
        "get", "getLink", "What a link shows; its owner gets the feedback too", "LinkShown", 200, (404, 410, 503)
    )
    end = _operation("delete", "revokeLink", "End a link at once; for its owner", "", 204, (403, 404, 410, 503))
    for operation in (*show.values(), *end.values()):
        operation["parameters"] = [link, SECRET]
    mine = _operation(
        "get", "listLinks", "Links that this browser session (cookie hub_session) made", "Link", 200, (503,)
    )
    listed = mine["get"]["responses"]["200"]["content"]["application/json"]
    listed["schema"] = {"type": "array", "items": listed["schema"]}
    return {
        "/api/v1/results/{id}/links": make,
        "/api/v1/links": mine,
        "/api/v1/links/{id}": {**show, **end},
        "/api/v1/links/{id}/feedback": say,
    }


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(LinkMadeAnswer, LinkAnswer, LinkShownAnswer, FeedbackAnswer)


def _operation(
    method: str, id: str, summary: str, answer: str, status: int, problems: tuple[int, ...]
) -> dict[str, Any]:
    content = json_of(ref(answer)) if answer else {}
    return {method: make_operation(id, summary, content, problems, status=status, tag="Links")}


def _wanted() -> Schema:
    days = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": DAYS_MOST, "description": "null: for ever"}
    names = {"type": "array", "items": TEXT, "description": "Inputs that the link must not show"}
    properties = {"note": {**TEXT, "maxLength": NOTE_CHARS}, "expires_in_days": days, "leave_out": names}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _feedback() -> Schema:
    """A thumb, a text, or both."""
    thumb = {"type": "string", "enum": list(get_args(Thumb))}
    properties: Schema = {"thumb": thumb, "text": {**TEXT, "maxLength": FEEDBACK_CHARS}}
    either = [
        {"required": ["thumb"], "properties": {"thumb": {"enum": ["up", "down"]}}},
        {"required": ["text"], "properties": {"text": {"pattern": "\\S"}}},
    ]
    return {"type": "object", "properties": properties, "additionalProperties": False, "anyOf": either}
