"""The REST door to the counted runs, for whoever operates the hub: /api/v1/usage, as JSON or CSV."""

from __future__ import annotations

import shutil
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive import spreadsheets, usage_report
from hub.archive.usage import DAYS_MOST
from hub.errors import ForbiddenError, InputError
from hub.hub import Hub
from hub.suggest import unknown
from hub.texts import sentence
from hub.web.api.schemas.shapes import OBJECT, in_query, json_of, make_operation
from hub.web.middleware import access, guard
from hub.web.routes import API, FRESH, check_names, json_answer, routes_of, whole_number

DAYS = 30
FORMATS = ("json", "csv")


def routes(hub: Hub) -> list[BaseRoute]:
    async def answer(request: Request) -> Response:
        check_access(hub, request)
        check_names(request.query_params, ("days", "format"))
        days = days_of(request)
        form = request.query_params.get("format", FORMATS[0])
        if form not in FORMATS:
            raise InputError(unknown("format", form[:40], [*FORMATS]), field="format")
        if form == "csv":
            rows = await to_thread.run_sync(hub.usage.rows, days)
            headers = {**FRESH, "Content-Disposition": 'attachment; filename="usage.csv"'}
            return Response(spreadsheets.encoded(usage_report.to_csv(rows)), media_type="text/csv", headers=headers)
        return json_answer(await to_thread.run_sync(report, hub, days))

    return routes_of({f"{API}/usage": {"GET": answer}}, "usage")


def check_access(hub: Hub, request: Request) -> None:
    """Raises ForbiddenError for who does not operate this hub."""
    who = guard.caller(request)
    if why := access.stranger(hub.settings, who.address, request.headers, who.role):
        raise ForbiddenError("You may not see how this hub is used. {why}", why=sentence(why))


def days_of(request: Request) -> int:
    return whole_number(request.query_params.get("days", str(DAYS)), "days", DAYS_MOST)


def report(hub: Hub, days: int) -> dict[str, Any]:
    """The counted runs of so many days, and what lies in the data folder now."""
    folder, rows = hub.settings.data_folder, hub.usage.rows(days)
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    disk = {"parts": usage_report.disk_use(folder), "free_bytes": free}
    return {**usage_report.report(rows, days, hub.usage.today()), "disk": disk}


def paths() -> dict[str, Any]:
    """Of the OpenAPI document."""
    content = {**json_of(OBJECT), "text/csv": {"schema": {"type": "string"}}}
    operation = make_operation(
        "getUsage", "How often pages were run, by day and kind of caller", json_of(OBJECT), (403, 422)
    )
    operation["responses"]["200"]["content"]["text/csv"] = content["text/csv"]
    number = {"type": "integer", "minimum": 1, "maximum": DAYS_MOST, "default": DAYS}
    operation["parameters"] = [
        in_query("days", number, "Of so many days, today's included"),
        in_query("format", {"type": "string", "enum": list(FORMATS), "default": FORMATS[0]}),
    ]
    return {"/api/v1/usage": {"get": operation}}
