"""The page `/usage`: the counted runs as plots, for whoever operates the hub."""

from __future__ import annotations

from functools import partial
from typing import Any

from anyio import to_thread
from rich.filesize import decimal
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub.errors import HubError
from hub.hub import Hub
from hub.texts import say
from hub.web.api import usage
from hub.web.middleware import guard
from hub.web.routes import HEADERS, file, routes_of
from hub.web.site.templates import draw_page

RANGES = (7, 30, 90)
CALLERS = {
    "browser": "Browsers", "program": "Programs", "user": "Signed in", "token": "Access tokens", "job": "Jobs",
    "batch": "Many pictures", "camera": "Live camera", "machine": "This machine", "hub": "The hub itself",
}  # fmt: skip


def routes(hub: Hub) -> list[BaseRoute]:
    """The page and its style."""

    async def page(request: Request) -> Response:
        usage.check_access(hub, request)
        days = usage.days_of(request)
        report = await to_thread.run_sync(usage.report, hub, days)
        text = draw_page(
            "usage.html", home="./", here="r/", menu=hub.visible, place="usage",
            signed_in=guard.caller(request).name, ranges=RANGES, report=report, seconds=_seconds, size=decimal,
            bars=_bars(report["by_day"]), titles={page.slug: page.title for page in hub.visible}, callers=CALLERS,
        )  # fmt: skip
        return HTMLResponse(text, headers=HEADERS)

    async def static(request: Request) -> Response:
        return file(request.path_params["name"], "usage")

    return routes_of({"/usage": {"GET": page}, "/usage/{name}": {"GET": static}}, "usage", page=partial(_problem, hub))


def _bars(days: list[dict[str, Any]]) -> list[tuple[dict[str, Any], list[tuple[str, str]]]]:
    """Each day with the heights of its parts, in percent of the day with the most runs."""
    most = max((day["runs"] for day in days), default=0) or 1
    parts = [
        (day, [("computed", day["runs"] - day["errors"] - day["from_cache"]), ("cache", day["from_cache"]),
               ("errors", day["errors"])])
        for day in days
    ]  # fmt: skip
    return [(day, [(name, f"{100 * count / most:.2f}") for name, count in counts if count]) for day, counts in parts]


def _seconds(value: float | None) -> str:
    if value is None:
        return ""
    return say("{number} ms", number=f"{1000 * value:.0f}") if value < 1 else say("{number} s", number=f"{value:.1f}")


def _problem(hub: Hub, error: HubError, request: Request) -> HTMLResponse:
    text = draw_page(
        "problem.html", home="./", here="r/", menu=hub.visible, place="usage", title=say(error.title),
        message=say(error.message), signed_in=guard.caller(request).name,
    )  # fmt: skip
    return HTMLResponse(text, error.status, headers=HEADERS)
