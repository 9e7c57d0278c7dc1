"""The REST door to the audit log, for whoever operates the hub: /api/v1/audit, as JSON or CSV."""

from __future__ import annotations

from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive import spreadsheets
from hub.archive.audited import line_to_json, to_csv
from hub.errors import ForbiddenError, InputError
from hub.hub import Hub
from hub.people.audit import DEEDS, Search
from hub.suggest import unknown
from hub.texts import sentence
from hub.web.api.schemas.shapes import OBJECT, TEXT, in_query, json_of, make_operation
from hub.web.middleware import access, guard
from hub.web.routes import API, FRESH, check_names, json_answer, routes_of, whole_number

DAYS, DAYS_MOST = 30, 3650
LIMIT, LIMIT_MOST = 100, 10_000  # lines of one answer
PAGES_MOST = 10_000
CHARS = 200
FORMATS = ("json", "csv")
FILTERS = ("days", "account", "deed", "page")


def routes(hub: Hub) -> list[BaseRoute]:
    async def answer(request: Request) -> Response:
        check_access(hub, request)
        check_names(request.query_params, (*FILTERS, "limit", "number", "format"))
        query, wanted = request.query_params, search_of(request)
        limit = whole_number(query.get("limit", str(LIMIT)), "limit", LIMIT_MOST)
        number = whole_number(query.get("number", "1"), "number", PAGES_MOST)
        form = query.get("format", FORMATS[0])
        if form not in FORMATS:
            raise InputError(unknown("format", form[:40], [*FORMATS]), field="format")
        lines = await to_thread.run_sync(hub.audit.search, wanted, limit, limit * (number - 1))
        if form == "csv":
            headers = {**FRESH, "Content-Disposition": 'attachment; filename="audit.csv"'}
            return Response(spreadsheets.encoded(to_csv(lines)), media_type="text/csv", headers=headers)
        return json_answer({"lines": [line_to_json(line) for line in lines], "number": number})

    return routes_of({f"{API}/audit": {"GET": answer}}, "audit")


def check_access(hub: Hub, request: Request) -> None:
    """Raises ForbiddenError for who does not operate this hub."""
    who = guard.caller(request)
    if why := access.stranger(hub.settings, who.address, request.headers, who.role):
        raise ForbiddenError("You may not see who did what here. {why}", why=sentence(why))


def search_of(request: Request) -> Search:
    """What an address asks for. Raises InputError."""
    query = request.query_params
    days = whole_number(query.get("days", str(DAYS)), "days", DAYS_MOST)
    account, deed, page = (query.get(name, "")[:CHARS] for name in ("account", "deed", "page"))
    if deed and deed not in DEEDS:
        raise InputError(unknown("deed", deed[:40], [*DEEDS]), field="deed")
    return Search(float(days), account, deed, page)


def paths() -> dict[str, Any]:
    """Of the OpenAPI document."""
    operation = make_operation("getAudit", "Who did what here, the newest first", json_of(OBJECT), (403, 422))
    operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}

    def number(default: int, most: int) -> dict[str, Any]:
        return {"type": "integer", "minimum": 1, "maximum": most, "default": default}

    operation["parameters"] = [
        in_query("days", number(DAYS, DAYS_MOST), "Of so many days"),
        in_query("account", TEXT, "Of this account; `machine` is the hub's own machine"),
        in_query("deed", {"type": "string", "enum": [*DEEDS]}),
        in_query("page", TEXT, "Of this page"),
        in_query("limit", number(LIMIT, LIMIT_MOST), "Lines of one answer"),
        in_query("number", number(1, PAGES_MOST), "Which of several answers"),
        in_query("format", {"type": "string", "enum": list(FORMATS), "default": FORMATS[0]}),
    ]
    return {"/api/v1/audit": {"get": operation}}
