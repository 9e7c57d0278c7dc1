"""The pages of the history: `/history` lists it, `?run=ID` shows one run, `?a=ID&b=ID` two beside each other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from anyio import to_thread
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from hub.archive.corrections.corrections import Said
from hub.archive.history_pair import Beside, Setting, beside
from hub.archive.history_store import HistoryEntry
from hub.archive.sharing import clean, snapshot
from hub.errors import GoneError, HubError, NotFoundError
from hub.hub import Hub
from hub.pages import kinds
from hub.pages.kinds import private_inputs
from hub.people.terms import NOTE_CHARS
from hub.results.result import Picture
from hub.spec import FileInput, ImageOutput
from hub.texts import say
from hub.web import drawers
from hub.web.api import history as history_rest
from hub.web.middleware import guard
from hub.web.parts import comparison as compare_html
from hub.web.parts import corrections as drawn
from hub.web.routes import ASKING, HEADERS, Endpoint, file, routes_of
from hub.web.site import history_texts
from hub.web.site import links as permalinks
from hub.web.site.templates import draw_page

log = logging.getLogger(__name__)
RESULT_GONE = "Its result is not kept any more."
GIVEN = "cookie"  # in the address, once a browser was given its cookie
AGAIN = "again"  # in the address, to say something else of a result
INPUT_FILE = "in-"  # how the names of pictures begin that went in, and are drawn anew for each look


def routes(hub: Hub) -> list[BaseRoute]:
    """The pages' routes."""
    endpoints = HistoryPages(hub)
    table: dict[str, dict[str, Endpoint]] = {
        "/history": {"GET": endpoints.page},
        "/history/{id}/share": {"POST": endpoints.share},
        "/history/{id}/correction": {"POST": endpoints.correct},
        "/history/{id}/delete": {"POST": endpoints.delete},
        "/history/{id}/{file}": {"GET": endpoints.file},
        "/history/{name}": {"GET": endpoints.static},
    }
    return routes_of(table, "history", page=partial(_problem, hub))


class HistoryPages:
    """The pages over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.history = hub, hub.history

    def _owner(self, request: Request) -> str:
        return self.history.owner(guard.caller(request))

    async def page(self, request: Request) -> Response:
        query = request.query_params
        if "run" in query:
            return await drawers.draw(guard.caller(request), self._run, request)
        if "a" in query or "b" in query:
            return await drawers.draw(guard.caller(request), self._compare, request)
        if (asking := self._ask_for_cookie(request)) is not None:
            return asking
        return await to_thread.run_sync(self._list, request)

    def _ask_for_cookie(self, request: Request) -> Response | None:
        """A browser's first visit may be to this page: whether it keeps cookies is known once it was given one."""
        query = {name: value for name, value in request.query_params.items() if name != GIVEN}
        is_known, was_given = bool(self._owner(request)), GIVEN in request.query_params
        if is_known != was_given:
            return None
        place = urlencode(query if is_known else {**query, GIVEN: "1"})
        # As HTML, with which the cookie is given.
        headers = {**HEADERS, "Location": f"history?{place}" if place else "history"}
        return HTMLResponse("", 303, headers=headers)

    async def static(self, request: Request) -> Response:
        return file(request.path_params["name"], "history")

    # --- the list ---------------------------------------------------------------------------------

    def _list(self, request: Request) -> Response:
        who = guard.caller(request)
        words = {text: say(text) for text in history_texts.SCRIPT}
        for page in self.hub.visible:
            labels = [f.label for f in page.declared.inputs] if page.declared else []
            words |= {text: say(text) for text in (page.title, *labels)}
        return self._render(
            request, "history.html", words=words, days=f"{self.hub.settings.results_days:g}", by_name=bool(who.name),
            known=bool(self.history.owner(who)), more=history_texts.MENU,
        )  # fmt: skip

    def _render(self, request: Request, template: str, **parts: Any) -> Response:
        text = draw_page(
            template, home="./", here="r/", menu=self.hub.visible, place="history",
            signed_in=guard.caller(request).name, **parts,
        )  # fmt: skip
        return HTMLResponse(text, headers=ASKING)

    # --- one run ----------------------------------------------------------------------------------

    def _run(self, request: Request) -> Response:
        entry = self.history.get(self._owner(request), request.query_params["run"])
        page = self.hub.visible.pages.get(entry.page)
        if entry.state == "running" and page:
            return RedirectResponse(f"{entry.page}?history={entry.id}", 303, headers=HEADERS)
        if entry.state != "done" or page is None or page.declared is None:
            why = say(entry.message) or (say("It was stopped.") if entry.state == "stopped" else say(RESULT_GONE))
            title = page.title if page else entry.page
            again = self._again_url(entry)
            return self._render(request, "history/failed.html", entry=entry, page_title=title, why=why, again_url=again)
        result = self.history.result(entry)
        pictures = self._input_pictures(entry)
        left_out = [f.name for f in page.declared.inputs if isinstance(f, FileInput) and f.name not in pictures]
        document = snapshot(self.hub.weights, page, result, pictures, left_out).document
        correction = self._correction(request, entry)
        return self._render(
            request, "history/run.html", entry=entry, id=f"history/{entry.id}", own=True, note="",
            again_url=self._again_url(entry), correction=correction, shares=self.hub.sharing.enabled,
            note_chars=NOTE_CHARS, private=bool(private_inputs(page.declared)), ends=history_texts.ENDS,
            **permalinks.drawn_parts(document),
        )  # fmt: skip

    def _again_url(self, entry: HistoryEntry) -> str:
        page = self.hub.visible.pages.get(entry.page)
        return f"{quote(entry.page)}?history={entry.id}" if page and page.declared else ""

    def _input_pictures(self, entry: HistoryEntry) -> dict[str, Picture]:
        """The pictures that went in and are still held, as they are shown."""
        uploads = {name: self.history.picture(entry, name) for name in entry.inputs}
        return {name: clean(data, self.hub.limits) for name, data in uploads.items() if data is not None}

    async def file(self, request: Request) -> Response:
        """A picture of the page of one run, by the name that `hub.sharing.snapshot` gives it."""
        if request.path_params["file"].startswith(INPUT_FILE):
            picture = await drawers.draw(guard.caller(request), self._file, request)
        else:
            picture = await to_thread.run_sync(self._file, request)
        headers = {**HEADERS, "Cache-Control": history_rest.DAY}
        return Response(picture.data, media_type=picture.media_type, headers=headers)

    def _file(self, request: Request) -> Picture:
        entry = self.history.get(self._owner(request), request.path_params["id"])
        kind, _, rest = request.path_params["file"].rpartition(".")[0].partition("-")
        if kind == "in" and rest in entry.inputs and (data := self.history.picture(entry, rest)) is not None:
            return clean(data, self.hub.limits)
        name, _, number = rest.rpartition("-")
        if kind == "out" and number.isdigit():
            group = self.history.result(entry).pictures.get(name, ())
            if int(number) < len(group):
                return group[int(number)]
        raise NotFoundError("This run has no such picture, or it is not held any more.")

    async def share(self, request: Request) -> Response:
        """Makes a link to the result, and goes there."""
        form = await permalinks.read_form(request)
        link = await drawers.draw(guard.caller(request), self._share, request, form)
        return RedirectResponse(f"../../r/{link}", 303, headers=HEADERS)

    def _share(self, request: Request, form: Mapping[str, str]) -> str:
        entry = self.history.get(self._owner(request), request.path_params["id"])
        demo = self.hub.visible.get(entry.page).demo
        uploads = {name: self.history.picture(entry, name) for name in entry.inputs}
        pictures = {name: data for name, data in uploads.items() if data is not None}
        ends = form.get("ends", "0")
        link, _ = self.hub.sharing.share(
            entry.result,
            who=self.hub.owners.of(guard.caller(request)),
            note=form.get("note", ""),
            days=float(ends) if ends.isascii() and ends.isdigit() and int(ends) else None,
            leave_out=() if "include" in form else private_inputs(demo),
            given=pictures,
        )
        return link.id

    # --- what is right ----------------------------------------------------------------------------

    def _correction(self, request: Request, entry: HistoryEntry) -> str:
        """What was said of the result; or the form in which it is."""
        corrections, who = self.hub.corrections, self.hub.owners.of(guard.caller(request))
        if not corrections.enabled:
            return ""
        said = None if AGAIN in request.query_params else corrections.store.last_of(entry.result, who.id)
        if said:
            return drawn.draw_kept(said, again=f"history?run={entry.id}&{AGAIN}=1#correction")
        return drawn.draw_form(corrections.subject(entry.result, who, known=True), f"history/{entry.id}/correction")

    async def correct(self, request: Request) -> Response:
        form = await permalinks.read_form(request, permalinks.CORRECTION_BYTES)
        await drawers.draw(guard.caller(request), self._correct, request, permalinks.said_in(form))
        return RedirectResponse(f"../../history?run={request.path_params['id']}#correction", 303, headers=HEADERS)

    def _correct(self, request: Request, said: Said) -> None:
        entry = self.history.get(self._owner(request), request.path_params["id"])
        self.hub.corrections.correct(entry.result, said, self.hub.owners.of(guard.caller(request)), known=True)

    # --- deleting ---------------------------------------------------------------------------------

    async def delete(self, request: Request) -> Response:
        await permalinks.read_form(request)
        work = partial(self.hub.forget, guard.caller(request), [request.path_params["id"]])
        await to_thread.run_sync(work)
        return RedirectResponse("../../history", 303, headers=HEADERS)

    # --- two runs ---------------------------------------------------------------------------------

    def _compare(self, request: Request) -> Response:
        query = request.query_params
        both = beside(self.history, self.hub.visible, self._owner(request), query.get("a", ""), query.get("b", ""))
        titles = _titles(both)
        page, comparison = both.page, both.comparison
        pictures = Markup("").join(
            compare_html.draw_beside(f, part, comparison, titles)
            for f in kinds.on_page(page.demo)
            if isinstance(f, ImageOutput) and (part := [pair for pair in comparison.pictures if pair.output == f.name])
        )
        return self._render(
            request, "history/compare.html", page_title=page.title, both=both, titles=titles,
            settings=[{**asdict(s), "differs": s.differs} for s in both.settings], pictures=self._input_places(both),
            again=[self._again_url(both.a), self._again_url(both.b)], swapped=f"history?a={both.b.id}&b={both.a.id}",
            answer=pictures + compare_html.draw_answer(page.demo, comparison, titles),
        )  # fmt: skip

    def _input_places(self, both: Beside) -> list[Setting]:
        """The pictures that went in, as places to show them; None for one that is not held any more."""
        settings = []
        for one in both.settings:
            if one.kind == "picture":
                places = [name if self.history.picture(run, one.name) is not None else None
                        for run in (both.a, both.b) for name in [f"history/{run.id}/in-{one.name}.jpg"]]  # fmt: skip
                b = places[1] if one.differs else places[0]
                settings.append(Setting("picture", one.name, one.label, places[0], b))
        return settings


def _titles(both: Beside) -> list[str]:
    """What tells A from B in few words: the weights where they differ, else when."""
    if both.a.weights != both.b.weights:
        return [both.a.weights or "none", both.b.weights or "none"]
    return [datetime.fromtimestamp(run.begun, UTC).strftime(say("%-d %b %Y, %H:%M:%S UTC")) for run in (both.a, both.b)]


def _problem(hub: Hub, error: HubError, request: Request) -> HTMLResponse:
    up = max(0, request.scope["path"].strip("/").count("/")) * "../"
    title = say("Not in your history") if isinstance(error, NotFoundError | GoneError) else say(error.title)
    text = draw_page(
        "problem.html", home=up or "./", here=f"{up}r/", menu=hub.visible, place="history", title=title,
        message=say(error.message), signed_in=guard.caller(request).name,
    )  # fmt: skip
    return HTMLResponse(text, error.status, headers=HEADERS)
