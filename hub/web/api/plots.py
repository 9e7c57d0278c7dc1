"""Plots over REST: as JSON, as a table, or drawn anew as SVG; drawn as PNG they are files of the result."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from hub.errors import InputError
from hub.results import plots
from hub.results.result import Result
from hub.texts import sentence
from hub.web import drawers
from hub.web.api.answers import send_picture
from hub.web.middleware import guard
from hub.web.middleware.headers import PICTURE
from hub.web.routes import FOREVER, json_answer

FORMATS, THEMES = ("json", "csv", "svg", "png"), ("light", "dark")


async def answer(request: Request, result: Result, name: str, looks: plots.Looks) -> Response:
    """A plot as `?format=` and `?theme=` ask for it. Raises InputError."""
    form, theme = _one_of(request, "format", FORMATS), _one_of(request, "theme", THEMES)
    data = result.values[name]
    if form == "json":
        return json_answer(data, headers={"Cache-Control": FOREVER})
    if form == "png":
        number = THEMES.index(theme)
        return send_picture(request, result.pictures[name][number], f"{result.id}-{name}-{number}")
    file = f"{result.id[:8]}-{name}"
    headers = {"Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
    if form == "csv":
        headers["Content-Disposition"] = f'attachment; filename="{file}.csv"'
        return Response(plots.to_csv(data, looks), media_type="text/csv; charset=utf-8", headers=headers)
    drawing = await drawers.draw(guard.caller(request), partial(plots.to_svg, data, looks, theme))  # type: ignore[arg-type]  # it is one of THEMES
    headers |= {"Content-Disposition": f'inline; filename="{file}.svg"', "Content-Security-Policy": PICTURE}
    return Response(drawing, media_type="image/svg+xml", headers=headers)


def _one_of(request: Request, name: str, known: tuple[str, ...]) -> str:
    given = request.query_params.get(name, known[0])
    if given not in known:
        listed = sentence("one of {listed}", listed=", ".join(known))
        raise InputError(
            "{name} must be {what}, got {given}.", name=name, what=listed, given=repr(given[:40]), field=name
        )
    return given
