"""The page `/corrections`: what was said of answers, to look through and delete; one's own, with the role admin all."""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlencode

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from hub.archive.corrections.store import GONE
from hub.errors import HubError, NotFoundError
from hub.hub import Hub
from hub.texts import say
from hub.web.api.corrections import VERDICTS, count_pages, find_corrections, whose
from hub.web.middleware import guard
from hub.web.parts import corrections as drawn
from hub.web.routes import HEADERS, file, routes_of
from hub.web.site.links import read_form
from hub.web.site.templates import draw_page


def routes(hub: Hub) -> list[BaseRoute]:
    """The page, its style, and the form that deletes."""
    pages = CorrectionPages(hub)
    table = {
        "/corrections": {"GET": pages.page},
        "/corrections/{name}": {"GET": pages.static},
        "/corrections/{id}/delete": {"POST": pages.remove},
    }
    return routes_of(table, "corrections", page=partial(_problem, hub))


class CorrectionPages:
    """The page over one hub."""

    def __init__(self, hub: Hub):
        self.hub = hub

    async def page(self, request: Request) -> Response:
        return HTMLResponse(await to_thread.run_sync(self._page, request), headers=HEADERS)

    def _page(self, request: Request) -> str:
        who, query = guard.caller(request), request.query_params
        found, total, page, size = find_corrections(self.hub, who, query)
        pages, everybody = count_pages(self.hub, who)
        mine = self.hub.owners.of(who).ids
        titles = {entry.slug: say(entry.title) for entry in self.hub.visible}
        entries = [
            (one, titles.get(one.page, one.page), drawn.rows_of(one), drawn.VERDICTS[one.verdict], one.owner in mine)
            for one in found
        ]
        counts = drawn.accuracies(self.hub.corrections.store.counts(), titles) if everybody else []
        chosen = {name: query.get(name, "") for name in ("demo", "verdict")}
        turns = {
            word: urlencode({**{k: v for k, v in chosen.items() if v}, "page": number})
            for word, number in (("Newer", page - 1), ("Older", page + 1))
            if 1 <= number <= max(1, -(-total // size))
        }
        return draw_page(
            "corrections/list.html", home="./", here="r/", menu=self.hub.visible, place="corrections",
            signed_in=who.name, entries=entries, total=total, everybody=everybody, counts=counts, demos=pages,
            verdicts=VERDICTS, chosen=chosen, turns=turns, asks=self.hub.settings.asks,
        )  # fmt: skip

    async def static(self, request: Request) -> Response:
        return file(request.path_params["name"], "corrections")

    async def remove(self, request: Request) -> Response:
        form: Any = await read_form(request)
        owners, store = whose(self.hub, guard.caller(request)), self.hub.corrections.store
        if not await to_thread.run_sync(store.remove, [request.path_params["id"]], owners):
            raise NotFoundError(GONE)
        rest = urlencode({name: form[name] for name in ("demo", "verdict") if form.get(name)})
        return RedirectResponse(f"../../corrections?{rest}" if rest else "../../corrections", 303, headers=HEADERS)


def _problem(hub: Hub, error: HubError, request: Request) -> HTMLResponse:
    up = max(0, request.scope["path"].strip("/").count("/")) * "../"
    text = draw_page(
        "problem.html", home=up or "./", here=f"{up}r/", menu=hub.visible, place="corrections",
        title=say(error.title), message=say(error.message), signed_in=guard.caller(request).name,
    )  # fmt: skip
    return HTMLResponse(text, error.status, headers=HEADERS)
