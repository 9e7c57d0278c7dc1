"""The history over REST: `/api/v1/history`, for whoever asks, by the cookie hub_session or who signed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive.gallery import PAGES_MOST
from hub.archive.history import PER_PAGE, PER_PAGE_MOST, InWork
from hub.archive.history_pair import beside, labelled
from hub.archive.history_store import HistoryEntry
from hub.decoding.decode import sniff
from hub.errors import InputError, NotFoundError
from hub.hub import Hub
from hub.web import drawers
from hub.web.api import answers, events
from hub.web.api.schemas.history import (
    DeletedAnswer,
    PageRunsAnswer,
    ProgressAnswer,
    RunAnswer,
    RunsAnswer,
    SettingAnswer,
)
from hub.web.middleware import guard
from hub.web.parts import wording
from hub.web.routes import API, FRESH, check_names, json_answer, routes_of, whole_number

TEXT_CHARS, AT_ONCE = 500, 200
FILTERS, PAGING = ("q", "demo"), ("page", "per_page")
LOOKED_S = 15.0  # who looks at the history holds what is in work for so long
INLINE_KINDS = frozenset({"image/jpeg", "image/png", "image/webp", "image/gif", "image/bmp", "image/tiff"})
DAY = "private, max-age=86400"


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    endpoints = HistoryRoutes(hub)
    table = {
        f"{API}/history": {"GET": endpoints.search, "DELETE": endpoints.remove},
        f"{API}/history/compare": {"GET": endpoints.compare},
        f"{API}/history/{{id}}": {"GET": endpoints.one, "DELETE": endpoints.remove_one},
        f"{API}/history/{{id}}/stop": {"POST": endpoints.stop},
        f"{API}/history/{{id}}/thumbnail": {"GET": endpoints.thumbnail},
        f"{API}/history/{{id}}/inputs/{{name}}": {"GET": endpoints.picture},
    }
    return routes_of(table, "history")


class HistoryRoutes:
    """The endpoints over one hub. Whose history it is, nobody can say: it is always that of who asks."""

    def __init__(self, hub: Hub):
        self.hub, self.history = hub, hub.history

    def _owner(self, request: Request) -> str:
        return self.history.owner(guard.caller(request))

    async def search(self, request: Request) -> Response:
        parameters: Mapping[str, str] = request.query_params
        check_names(parameters, [*FILTERS, *PAGING])
        text, slug = parameters.get("q", ""), parameters.get("demo", "")
        if len(text) > TEXT_CHARS:
            raise InputError(
                "q has more than the {text_chars} characters that are read.", text_chars=TEXT_CHARS, field="q"
            )
        page = whole_number(parameters.get("page", "1"), "page", PAGES_MOST)
        size = whole_number(parameters.get("per_page", str(PER_PAGE)), "per_page", PER_PAGE_MOST)
        owner, root = self._owner(request), request.scope.get("root_path", "")
        self.history.look(owner, LOOKED_S)

        def find() -> RunsAnswer:
            work = self.history.in_work(owner, slug)
            entries, total = self.history.search(owner, text, slug, size, (page - 1) * size)
            running = {run.entry.id: run_to_json(self.hub, run.entry, root, run) for run in work}
            return {
                "total": total,
                "page": page,
                "per_page": size,
                "running": list(running.values()),
                "runs": [run_to_json(self.hub, entry, root) for entry in entries if entry.id not in running],
                "demos": [self._count_to_json(*entry) for entry in self.history.pages(owner)],
            }

        return json_answer(await to_thread.run_sync(find))

    def _count_to_json(self, slug: str, count: int) -> PageRunsAnswer:
        page = self.hub.visible.pages.get(slug)
        return {"slug": slug, "title": page.title if page else slug, "count": count}

    async def one(self, request: Request) -> Response:
        owner, id, root = self._owner(request), request.path_params["id"], request.scope.get("root_path", "")
        work = next((run for run in self.history.in_work(owner) if run.entry.id == id), None)
        entry = work.entry if work else await to_thread.run_sync(self.history.get, owner, id)
        self.history.look(owner, LOOKED_S)
        return json_answer(run_to_json(self.hub, entry, root, work))

    async def compare(self, request: Request) -> Response:
        """Two runs of one page: what was asked, both answers, and what differs in them."""
        parameters = request.query_params
        check_names(parameters, ["a", "b"])
        owner, root = self._owner(request), request.scope.get("root_path", "")

        def work() -> dict[str, Any]:
            both = beside(self.history, self.hub.visible, owner, parameters.get("a", ""), parameters.get("b", ""))
            settings = [{**asdict(setting), "differs": setting.differs} for setting in both.settings]
            runs = {side: run_to_json(self.hub, run, root) for side, run in (("a", both.a), ("b", both.b))}
            return {**answers.comparison_to_json(both.comparison, both.page, root), "settings": settings, "runs": runs}

        return json_answer(await drawers.draw(guard.caller(request), work))

    # --- deleting and stopping --------------------------------------------------------------------

    async def remove(self, request: Request) -> Response:
        """Some, by `ids` with commas between, or with `all=true` all: nothing is deleted by leaving something out."""
        parameters = request.query_params
        check_names(parameters, ["ids", "all"])
        ids = list(filter(None, parameters.get("ids", "").split(",")))
        if bool(ids) == (parameters.get("all") == "true"):
            raise InputError("Say which runs to delete: ids=ID,ID or all=true.", field="ids")
        if len(ids) > AT_ONCE:
            raise InputError(
                "At most {at_once} runs are deleted at once, got {count}.", at_once=AT_ONCE, count=len(ids), field="ids"
            )
        work = partial(self.hub.forget, guard.caller(request), ids or None)
        count, results = await to_thread.run_sync(work)
        return json_answer(DeletedAnswer(deleted=count, results_deleted=results))

    async def remove_one(self, request: Request) -> Response:
        caller, id = guard.caller(request), request.path_params["id"]

        def work() -> tuple[int, int]:
            self.history.get(self.history.owner(caller), id)
            return self.hub.forget(caller, [id])

        count, results = await to_thread.run_sync(work)
        return json_answer(DeletedAnswer(deleted=count, results_deleted=results))

    async def stop(self, request: Request) -> Response:
        self.history.stop(self._owner(request), request.path_params["id"])
        return Response(status_code=204, headers=FRESH)

    # --- pictures ---------------------------------------------------------------------------------

    async def thumbnail(self, request: Request) -> Response:
        def find() -> tuple[HistoryEntry, bytes | None]:
            entry = self.history.get(self._owner(request), request.path_params["id"])
            return entry, self.history.kept_thumbnail(entry)

        entry, small = await to_thread.run_sync(find)
        if small is None:
            small = await drawers.draw(guard.caller(request), self.history.thumbnail, entry)
        return Response(small, media_type="image/webp", headers={"Cache-Control": DAY})

    async def picture(self, request: Request) -> Response:
        """A picture that went in, byte by byte as it came."""
        data = await to_thread.run_sync(self._picture, request, request.path_params["name"])
        return send_upload(data)

    def _picture(self, request: Request, name: str) -> bytes:
        data = self.history.picture(self.history.get(self._owner(request), request.path_params["id"]), name)
        if data is None:
            raise NotFoundError("The picture {name!r} of this run is not held any more.", name=name[:40])
        return data


def send_upload(data: bytes) -> Response:
    """What a visitor uploaded, as a picture and nothing else: it may be any file."""
    headers = {"Cache-Control": DAY, "X-Content-Type-Options": "nosniff", "Content-Security-Policy": "sandbox"}
    kind = f"image/{sniff(data).lower()}"
    return Response(data, media_type=kind if kind in INLINE_KINDS else "application/octet-stream", headers=headers)


def run_to_json(hub: Hub, entry: HistoryEntry, root: str, work: InWork | None = None) -> RunAnswer:
    """A run as JSON data; `progress` while it is in work."""
    page = hub.visible.pages.get(entry.page)
    demo = page.declared if page else None
    fields = {f.name: f for f in demo.inputs} if demo else {}
    here = f"{root}{API}/history/{entry.id}"
    settings: list[SettingAnswer] = [
        {
            "name": name,
            "label": fields[name].label if name in fields else name,
            "value": entry.parameters[name],
            "unit": getattr(fields.get(name), "unit", ""),
        }
        for name in labelled(demo, entry.parameters)
    ]
    progress: ProgressAnswer | None = None
    if work is not None:
        stage, now = work.last_event
        since: ProgressAnswer = {"stage": stage, "seconds": round(work.seconds, 1)}
        progress = {**since, **events.steps_to_json(now)} if now else since
    is_done = entry.state == "done"
    return {
        "id": entry.id, "demo": entry.page, "title": page.title if page else entry.page, "state": entry.state,
        "created_at": datetime.fromtimestamp(entry.begun, UTC).isoformat(timespec="milliseconds"),
        "took_ms": entry.took_ms, "cached": entry.cached, "times": entry.times, "headline": entry.headline,
        "spoken": wording.answer(entry.headline),
        "message": entry.message, "settings": settings, "weights": entry.weights, "digest": entry.digest,
        "inputs": {name: f"{here}/inputs/{quote(name)}" for name in entry.inputs},
        "result": f"{root}{API}/results/{entry.result}" if is_done else None,
        # The state is in it, since it is cached: of a run in work it shows what went in.
        "thumbnail": f"{here}/thumbnail?of={entry.state}" if entry.pictured else None,
        "page": f"{root}/history?run={entry.id}" if entry.state != "running" else None,
        "open": f"{root}/{entry.page}?history={entry.id}" if demo else None,
        "progress": progress,
    }  # fmt: skip
