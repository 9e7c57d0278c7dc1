"""Boxes over REST: as JSON, as COCO to download, or drawn; all of them, or those with a score of at least so much."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from hub.engine.drawn import draw_again
from hub.errors import InputError
from hub.results import boxes
from hub.results.result import Result
from hub.texts import sentence
from hub.web import drawers
from hub.web.api.answers import send_picture
from hub.web.middleware import guard
from hub.web.routes import FOREVER, json_answer

FORMATS = ("json", "coco", "picture")
REFUSED = "{name} must be {what}, got {given}."


async def answer(request: Request, result: Result, name: str) -> Response:
    """The boxes of a result as `?format=` and `?min_score=` ask for them. Raises InputError."""
    query = request.query_params
    form, least = query.get("format", FORMATS[0]), _read_score(query.get("min_score", "0"))
    if form not in FORMATS:
        listed = sentence("one of {listed}", listed=", ".join(FORMATS))
        raise InputError(REFUSED, name="format", what=listed, given=repr(form[:40]), field="format")
    if form == "picture":
        picture = await drawers.draw(guard.caller(request), draw_again, result, name, least)
        return send_picture(request, picture, f"{result.id}-{name}-{least:g}")
    found = boxes.surest(result.values[name], least)
    if form == "json":
        return json_answer(found, headers={"Cache-Control": FOREVER})
    file = f"{result.id[:8]}-{name}"
    headers = {"Cache-Control": FOREVER, "Content-Disposition": f'attachment; filename="{file}-coco.json"'}
    return json_answer(boxes.to_coco(found, f"{file}.jpg"), headers=headers)


def _read_score(text: str) -> float:
    try:
        score = float(text[:40])
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        between = sentence("between {low} and {high}", low=0, high=1)
        raise InputError(REFUSED, name="min_score", what=between, given=repr(text[:40]), field="min_score")
    return score
