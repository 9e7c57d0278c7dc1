"""Links in the OpenAPI document: their paths and their schemas."""

from __future__ import annotations

from typing import Any

from hub.people.terms import ALPHABET, DAYS_MOST, FEEDBACK_CHARS, ID_CHARS, NOTE_CHARS
from hub.web.api import schema

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
TIME: Schema = {"type": "string", "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0}
ID: Schema = {"type": "string", "pattern": f"^[A-Za-z0-9]{{{ID_CHARS}}}$", "description": "Cannot be guessed"}
SECRET: Schema = {
    "name": "X-Link-Secret",
    "in": "header",
    "schema": TEXT,
    "description": "What making the link answered; or send the cookie hub_session that made it",
}
assert ALPHABET.isalnum(), "the pattern above says so"


def paths() -> dict[str, Any]:
    """The operations, by path."""
    result = {"name": "id", "in": "path", "required": True, "schema": schema.ID}
    link = {**result, "schema": ID}
    make = _operation(
        "post", "makeLink", "Make a link to a result", "LinkMade", 201, (400, 404, 409, 413, 415, 422, 429, 503)
    )
    make["post"]["description"] = (
        "The link keeps a copy of the result, and of its inputs unless they are left out. 409: the hub no longer "
        "holds a picture of the run, or does not know who asks as who ran it (send the cookie hub_session with both, "
        "or sign in); send the same run again, then this, or leave it out. Without a cookie or a user nobody owns the "
        "link, and it ends after 30 days at most: expires_at tells."
    )
    make["post"] |= {"parameters": [result], "requestBody": _body(_wanted())}
    say = _operation("post", "sayFeedback", "Say what you think of a shared result", "Feedback", 201,
                     (400, 404, 410, 413, 415, 422, 429, 503))  # fmt: skip
    say["post"] |= {"parameters": [link], "requestBody": _body(_feedback(given=True))}
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
    link: Schema = {
        "id": ID,
        "url": {"type": "string", "format": "uri", "description": "The page to send to people"},
        "demo": TEXT,
        "state": {"type": "string", "enum": ["live", "revoked", "expired"]},
        "headline": {**TEXT, "description": "The answer in a few words"},
        "note": TEXT,
        "created_at": TIME,
        "expires_at": {"type": ["string", "null"], "format": "date-time"},
        "size_bytes": COUNT,
        "thumbs_up": COUNT,
        "thumbs_down": COUNT,
        "comments": COUNT,
    }
    entries: Schema = {"type": "array", "items": {"type": "object"}}
    shown = {
        "inputs": {**entries, "description": "Pictures by `file`, an address; empty where they were left out"},
        "parameters": entries,
        "outputs": entries,
        "weights": {"type": ["object", "null"]},
        "receipt": {"$ref": "#/components/schemas/Receipt"},
    }
    secret = {**TEXT, "description": "Ends the link and reads its feedback; told this once"}
    feedback = {"type": "array", "items": _ref("Feedback"), "description": "For the link's owner"}
    return {
        "Link": _object(link),
        "LinkMade": _object({**link, "secret": secret}),
        "LinkShown": _object({**link, **shown, "feedback": feedback}, optional=("feedback",)),
        "Feedback": _feedback(given=False),
    }


def _operation(
    method: str, id: str, summary: str, answer: str, status: int, problems: tuple[int, ...]
) -> dict[str, Any]:
    found: Schema = {"description": summary}
    if answer:
        found["content"] = {"application/json": {"schema": _ref(answer)}}
    answers = {str(status): found}
    answers |= {str(number): {"$ref": f"#/components/responses/Problem{number}"} for number in problems}
    return {method: {"operationId": id, "summary": summary, "tags": ["Links"], "responses": answers}}


def _body(wanted: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": wanted}}}


def _wanted() -> Schema:
    days = {"type": ["number", "null"], "exclusiveMinimum": 0, "maximum": DAYS_MOST, "description": "null: for ever"}
    names = {"type": "array", "items": TEXT, "description": "Inputs that the link must not show"}
    properties = {"note": {**TEXT, "maxLength": NOTE_CHARS}, "expires_in_days": days, "leave_out": names}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _feedback(*, given: bool) -> Schema:
    thumb = {"type": "string", "enum": ["up", "down", ""]}
    properties: Schema = {"thumb": thumb, "text": {**TEXT, "maxLength": FEEDBACK_CHARS}}
    if given:  # a thumb, a text, or both
        either = [
            {"required": ["thumb"], "properties": {"thumb": {"enum": ["up", "down"]}}},
            {"required": ["text"], "properties": {"text": {"pattern": "\\S"}}},
        ]
        return {"type": "object", "properties": properties, "additionalProperties": False, "anyOf": either}
    return _object({"link": ID, "created_at": TIME, **properties})


def _object(properties: Schema, optional: tuple[str, ...] = ()) -> Schema:
    return {"type": "object", "properties": properties, "required": [n for n in properties if n not in optional]}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}
