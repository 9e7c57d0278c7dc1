"""The REST door: /api/v1, /healthz, /readyz and /metrics. Pictures pass through undecoded."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from anyio import to_thread
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from hub.engine.compare import compare
from hub.engine.jobs import Cancel
from hub.errors import ForbiddenError, NotFoundError
from hub.execution.executor import OnEvent
from hub.hub import Hub
from hub.pages.registry import Page
from hub.people.owners import Owner
from hub.people.users import Caller
from hub.results.plots import Looks
from hub.results.result import BOXES, PAIRS, PLOT, Picture, Result
from hub.spec import Plot
from hub.texts import sentence
from hub.web.api import answers, boxes, events, health, jobs, openapi, plots
from hub.web.api.answers import SIMILAR_LIMIT, SIMILAR_MOST, send_picture
from hub.web.api.bodies import read_inputs, read_texts
from hub.web.middleware import access, guard
from hub.web.routes import API, FOREVER, Endpoint, dump_json, json_answer, routes_of, whole_number
from hub.web.waiting import WaitingThreads

log = logging.getLogger(__name__)


def routes(hub: Hub) -> list[BaseRoute]:
    """The routes; they answer every path under /api, so that unknown ones get problem JSON."""
    endpoints = DemoRoutes(hub)
    table: dict[str, dict[str, Endpoint]] = {
        f"{API}/openapi.json": {"GET": endpoints.openapi},
        f"{API}/demos": {"GET": endpoints.demos},
        f"{API}/demos/{{slug}}": {"GET": endpoints.demo, "POST": endpoints.run},
        f"{API}/demos/{{slug}}/compare": {"POST": endpoints.compare},
        f"{API}/demos/{{slug}}/assets/{{name}}": {"GET": endpoints.asset},
        f"{API}/results/{{id}}": {"GET": endpoints.result},
        f"{API}/results/{{id}}/similar": {"GET": endpoints.similar},
        f"{API}/results/{{id}}/thumbnail": {"GET": endpoints.thumbnail},
        f"{API}/results/{{id}}/{{output}}": {"GET": endpoints.output},
        f"{API}/results/{{id}}/{{output}}/{{number:int}}": {"GET": endpoints.output},
        f"{API}/status": {"GET": endpoints.status},
        f"{API}/models": {"GET": endpoints.models, "POST": endpoints.change_model},
        "/healthz": {"GET": endpoints.healthz},
        "/readyz": {"GET": endpoints.readyz},
        "/metrics": {"GET": endpoints.metrics},
        "/api": {},
        "/api/{path:path}": {},
    }
    return routes_of(table, "rest")


class DemoRoutes:
    """The endpoints over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.threads = hub, WaitingThreads(hub)
        self.jobs = jobs.JobRoutes(hub)

    # --- runs -------------------------------------------------------------------------------------

    async def run(self, request: Request) -> Response:
        if jobs.prefers_async(request):
            return await self.jobs.ask(request)
        if events.wants_events(request):
            return await self._stream(request)
        return await self._work(request, self._run)

    async def _stream(self, request: Request) -> Response:
        """As `_work`, but each step is sent as an event. What is wrong before the run is a plain problem."""
        page = self.hub.seen.to_run(request.path_params["slug"], guard.caller(request))
        inputs = await read_inputs(request, page.demo, self.hub.limits.max_bytes)
        who, root_path = guard.caller(request), request.scope.get("root_path", "")
        self.threads.check(who)

        async def work(hear: OnEvent, cancel: Cancel) -> bytes:
            return await self.threads.run(who, partial(self._run, page, inputs, cancel, who, root_path, hear))

        return events.stream(request, work, waiting=partial(self.hub.waiting, who, page.slug))

    async def compare(self, request: Request) -> Response:
        return await self._work(request, self._compare)

    async def _work(self, request: Request, run: Callable[..., bytes]) -> Response:
        """Reads the inputs and runs them in a thread; cancelled when the client goes away."""
        slug = request.path_params["slug"]
        page = self.hub.seen.to_run(slug, guard.caller(request))
        inputs = await read_inputs(request, page.demo, self.hub.limits.max_bytes)
        who, root_path = guard.caller(request), request.scope.get("root_path", "")
        self.threads.check(who)

        async def work(hear: OnEvent, cancel: Cancel) -> bytes:
            return await self.threads.run(who, partial(run, page, inputs, cancel, who, root_path))

        return json_answer(await events.answer_once(request, work))

    def _run(
        self,
        page: Page,
        inputs: Callable[[], dict[str, Any]],
        cancel: Cancel,
        who: Caller,
        root_path: str,
        hear: OnEvent = lambda stage, progress: None,
    ) -> bytes:
        result = self.hub.engine.run(page.slug, inputs(), cancel=cancel, on_event=hear, caller=who)
        return dump_json(answers.result_to_json(result, page, root_path))

    def _compare(
        self, page: Page, inputs: Callable[[], dict[str, Any]], cancel: Cancel, who: Caller, root_path: str
    ) -> bytes:
        values = inputs()
        a, b = (values.pop(name, None) or "" for name in ("weights_a", "weights_b"))
        comparison = compare(self.hub.engine, page.slug, values, a, b, cancel=cancel, caller=who)
        return dump_json(answers.comparison_to_json(comparison, page, root_path))

    # --- results ----------------------------------------------------------------------------------

    async def result(self, request: Request) -> Response:
        result = await self._read_result(request)
        page = self.hub.visible.pages.get(result.capsule["page"])
        result = await to_thread.run_sync(self.hub.shown.look, self._who(request), result)
        return json_answer(answers.result_to_json(result, page, request.scope.get("root_path", "")))

    async def output(self, request: Request) -> Response:
        result = await self._read_result(request)
        name, number = request.path_params["output"], request.path_params.get("number")
        values = result.values
        if name in values and name in result.pictures and number is None:
            kind = PAIRS[result.pictures[name][-1].media_type]
            if kind == BOXES:
                return await boxes.answer(request, result, name)
            if kind == PLOT:
                return await plots.answer(request, result, name, self._looks(result, name))
        if name in values and (number is None or (name not in result.pictures and not number)):
            return json_answer(values[name], headers={"Cache-Control": FOREVER})
        number = number or 0
        pictures = result.pictures.get(name, ())
        if number >= len(pictures):
            there = ", ".join([*result.pictures, *values])
            what = f"no picture {number} in {name!r}" if pictures else f"no output {name!r}; there is: {there}"
            raise NotFoundError("Result {id} has {what}.", id=result.id, what=what)
        return send_picture(request, pictures[number], f"{result.id}-{name}-{number}")

    def _looks(self, result: Result, name: str) -> Looks:
        """How a plot is drawn; that of a page which is no longer here has axes without words."""
        page = self.hub.visible.pages.get(result.capsule["page"])
        fields = page.declared.outputs if page and page.declared else ()
        return next((Looks.of(f) for f in fields if isinstance(f, Plot) and f.name == name), Looks("", "", False))

    async def similar(self, request: Request) -> Response:
        """Who knows a result's id may ask; whose past results are shown depends on the setting and the cookie."""
        result = await self._read_result(request)
        limit = whole_number(request.query_params.get("limit", str(SIMILAR_LIMIT)), "limit", SIMILAR_MOST)
        page = self.hub.visible.pages.get(result.capsule["page"])
        if page is None or not self.hub.similar.keeps(page.declared):
            off = self.hub.settings.similar == "off"
            why = "It is switched off on this hub (similar=off)." if off else "Its page does not offer that."
            raise NotFoundError("Nothing similar is looked for beside result {id}. {why}", id=result.id, why=why)
        find = partial(self.hub.similar.find, result, self._who(request), limit)
        matches = await to_thread.run_sync(find)
        missing, _ = await to_thread.run_sync(self.hub.similar.outstanding, result)
        body = answers.similar_to_json(result, matches, not missing, request.scope.get("root_path", ""))
        return json_answer(body)

    async def thumbnail(self, request: Request) -> Response:
        result = await self._read_result(request)
        if result.sight is None:
            raise NotFoundError("Result {id} has no thumbnail of its picture.", id=result.id)
        picture = Picture(result.sight.thumbnail, "image/jpeg", 0, 0)
        return send_picture(request, picture, f"{result.id}-thumbnail")

    def _who(self, request: Request) -> Owner:
        return self.hub.owners.of(guard.caller(request))

    async def _read_result(self, request: Request) -> Result:
        id = request.path_params["id"]
        result = await to_thread.run_sync(self.hub.results.get, id)
        if result is None:
            days = f"{self.hub.settings.results_days:g}"
            raise NotFoundError(
                "There is no result {id!r}. Results are kept for {days} days, as space allows.", id=id[:64], days=days
            )
        return result

    # --- what there is ----------------------------------------------------------------------------

    async def demos(self, request: Request) -> Response:
        root_path = request.scope.get("root_path", "")
        pages = [*self.hub.visible]
        summaries = await to_thread.run_sync(lambda: [answers.summary(self.hub, page, root_path) for page in pages])
        return json_answer(summaries, headers={})

    async def demo(self, request: Request) -> Response:
        page = self.hub.visible.get(request.path_params["slug"])
        root_path = request.scope.get("root_path", "")
        return json_answer(await to_thread.run_sync(answers.detail, self.hub, page, root_path), headers={})

    async def asset(self, request: Request) -> Response:
        """A picture of an example, or the cover. Nothing else that lies in the folder is served."""
        page, name = self.hub.visible.get(request.path_params["slug"]), request.path_params["name"]
        if page.declared is None or name not in answers.pictures(page):
            raise NotFoundError("{title} has no picture {name!r}.", title=page.title, name=name)
        return FileResponse(page.assets / name, headers={"Cache-Control": "public, max-age=3600"})

    async def openapi(self, request: Request) -> Response:
        place = self.hub.settings.public_url.rstrip("/") or request.scope.get("root_path", "")
        return json_answer(await to_thread.run_sync(openapi.of_hub, self.hub, place), headers={})

    # --- operations -------------------------------------------------------------------------------

    async def status(self, request: Request) -> Response:
        return json_answer(await to_thread.run_sync(partial(health.status, self.hub)), headers={})

    async def models(self, request: Request) -> Response:
        residents = await to_thread.run_sync(self.hub.models.residents)
        return json_answer([asdict(one) for one in residents])

    async def change_model(self, request: Request) -> Response:
        """Loads, pins, unpins or unloads one page's model; an abandoned request leaves a load to end."""
        who = guard.caller(request)
        why = access.refusal(self.hub.settings, who.address, request.headers, who.role)
        if why:
            raise ForbiddenError("This request may not change what is in memory. {why}", why=sentence(why))
        wish = await read_texts(request, ("demo", "weights", "action"), ("demo", "action"))
        work = partial(self.hub.change_model, wish["demo"], wish.get("weights", ""), wish["action"])
        return json_answer(asdict(await self.threads.run(who, work)), headers={})

    async def healthz(self, request: Request) -> Response:
        return json_answer({"status": "ok"})

    async def readyz(self, request: Request) -> Response:
        ready, body = await to_thread.run_sync(partial(health.readiness, self.hub))
        return json_answer(body, 200 if ready else 503)

    async def metrics(self, request: Request) -> Response:
        return Response(self.hub.metrics.render(), headers={"Content-Type": CONTENT_TYPE_LATEST})
