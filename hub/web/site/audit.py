"""The page `/audit`: who did what here, for whoever operates the hub."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub.archive.audited import line_to_json
from hub.errors import HubError
from hub.hub import Hub
from hub.people.audit import DEEDS, MACHINE, OK, Line, Search
from hub.texts import say
from hub.web.api import audit
from hub.web.middleware import guard
from hub.web.parts import wording
from hub.web.routes import HEADERS, check_names, routes_of, whole_number
from hub.web.site.templates import draw_page

RANGES = (1, 7, 30, 365)
LINES, NAMES = 100, 200  # on one page; accounts and pages to choose from


def routes(hub: Hub) -> list[BaseRoute]:
    """The page; its style is with that of the other page for who operates the hub."""

    async def page(request: Request) -> Response:
        audit.check_access(hub, request)
        check_names(request.query_params, (*audit.FILTERS, "number", "lang"))
        wanted = audit.search_of(request)
        number = whole_number(request.query_params.get("number", "1"), "number", audit.PAGES_MOST)
        found = await to_thread.run_sync(hub.audit.search, wanted, LINES + 1, LINES * (number - 1))
        accounts, slugs = [
            await to_thread.run_sync(hub.audit.names, column, NAMES) for column in ("account", "page")
        ]  # fmt: skip
        titles = {entry.slug: entry.title for entry in hub.visible}
        text = draw_page(
            "audit.html", home="./", here="r/", menu=hub.visible, place="audit",
            signed_in=guard.caller(request).name, lines=[_row(line, titles) for line in found[:LINES]], wanted=wanted,
            ranges=RANGES, deeds=DEEDS, accounts=accounts, slugs=[(slug, titles.get(slug, slug)) for slug in slugs],
            csv=_query(wanted, format="csv", limit=str(audit.LIMIT_MOST)), is_kept=hub.settings.audit_rows > 0,
            turns=_turns(wanted, number, len(found) > LINES),
        )  # fmt: skip
        return HTMLResponse(text, headers=HEADERS)

    return routes_of({"/audit": {"GET": page}}, "audit", page=partial(_problem, hub))


def _row(line: Line, titles: dict[str, str]) -> dict[str, object]:
    """A line in words."""
    if line.account:
        who = say("This machine") if line.account == MACHINE else line.account
    else:
        who = say("Not signed in ({owner})", owner=line.owner)
    deed = say(DEEDS.get(line.deed, line.deed))  # type: ignore[call-overload]  # a newer hub may have written another
    return {
        "at": line_to_json(line)["at"], "time": wording.minute(line.at), "who": who, "deed": deed,
        "page": say(titles.get(line.page, line.page)), "subject": line.subject, "count": line.count,
        "outcome": "" if line.outcome == OK else line.outcome,
    }  # fmt: skip


def _query(wanted: Search, **more: str) -> str:
    kept = {name: value for name, value in asdict(wanted).items() if value}
    return urlencode({**kept, "days": str(int(wanted.days)), **more})


def _turns(wanted: Search, number: int, has_more: bool) -> dict[str, str]:
    """The ways to the pages beside this one."""
    turns = {}
    if number > 1:
        turns["Newer"] = _query(wanted, number=str(number - 1))
    if has_more:
        turns["Older"] = _query(wanted, number=str(number + 1))
    return turns


def _problem(hub: Hub, error: HubError, request: Request) -> HTMLResponse:
    text = draw_page(
        "problem.html", home="./", here="r/", menu=hub.visible, place="audit", title=say(error.title),
        message=say(error.message), signed_in=guard.caller(request).name,
    )  # fmt: skip
    return HTMLResponse(text, error.status, headers=HEADERS)
