"""Jobs over REST: asked for by `Prefer: respond-async` on a run or as a batch of pictures, then looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar, get_args

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute

from hub.archive.corrections.corrections import draw_view
from hub.decoding import budget
from hub.decoding.decode import ImageLimits, decode
from hub.engine.shown import iso
from hub.errors import ConflictError, HubError, InputError, NotFoundError, UnavailableError
from hub.hub import Hub
from hub.images import thumbnail
from hub.jobs import given, hub_datasets, tables
from hub.jobs.folders import NewFolder, PictureReader
from hub.jobs.jobs import JobView, Wish
from hub.jobs.measured import mask_output
from hub.jobs.records import Problem, Row, RowState, StoredJob
from hub.jobs.rows import ORDERS, Wanted
from hub.jobs.summary import summarise
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.spec import Choices
from hub.web import drawers
from hub.web.api import answers
from hub.web.api.bodies import read_inputs
from hub.web.api.corrections import send_view
from hub.web.api.job_events import JobStreams
from hub.web.api.schemas.jobs import (
    PAGES_MOST,
    PER_PAGE,
    PER_PAGE_MOST,
    TEXT_CHARS,
    JobAnswer,
    JobsAnswer,
    RowAnswer,
    RowsAnswer,
)
from hub.web.api.uploads import Form, read_form
from hub.web.middleware import addresses, guard
from hub.web.problems import ProblemAnswer
from hub.web.routes import API, FRESH, check_names, json_answer, routes_of, whole_number

SIDE = 160  # px of a thumbnail
DAY = "private, max-age=86400"
LOOK_AGAIN_S = 2
T = TypeVar("T")
PLACES = ("webhook", "truth", "dataset", "split", "revision")  # what may be said behind the question mark of a batch


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    endpoints = JobRoutes(hub)
    table = {
        f"{API}/demos/{{slug}}/batch": {"POST": endpoints.ask_batch},
        f"{API}/jobs": {"GET": endpoints.list},
        f"{API}/jobs/{{id}}": {"GET": endpoints.one, "DELETE": endpoints.end},
        f"{API}/jobs/{{id}}/events": {"GET": endpoints.events},
        f"{API}/jobs/{{id}}/result": {"GET": endpoints.result},
        f"{API}/jobs/{{id}}/rows": {"GET": endpoints.rows},
        f"{API}/jobs/{{id}}/rows/{{number:int}}/thumbnail": {"GET": endpoints.thumbnail},
        f"{API}/jobs/{{id}}/rows/{{number:int}}/picture": {"GET": endpoints.picture},
        f"{API}/jobs/{{id}}/summary": {"GET": endpoints.summary},
        f"{API}/jobs/{{id}}/table.csv": {"GET": endpoints.csv},
        f"{API}/jobs/{{id}}/table.jsonl": {"GET": endpoints.json_lines},
        f"{API}/jobs/{{id}}/pictures.zip": {"GET": endpoints.pictures},
    }
    return routes_of(table, "jobs")


def prefers_async(request: Request) -> bool:
    """Whether the client asks to be answered later (RFC 7240)."""
    parts = ",".join(request.headers.getlist("prefer")).lower().split(",")
    return any(part.split(";")[0].strip() == "respond-async" for part in parts)


def wish_of(request: Request) -> Wish:
    """What is said beside a job."""
    return Wish(request.headers.get("idempotency-key", "").strip('" '), request.query_params.get("webhook", ""))


class JobRoutes:
    """The endpoints over one hub. Whoever knows a job's id may look at it; only who asked may end it."""

    def __init__(self, hub: Hub):
        self.hub, self.jobs, self._streams = hub, hub.jobs, JobStreams(hub.engine.stop)

    # --- asking -----------------------------------------------------------------------------------

    async def ask(self, request: Request) -> Response:
        """One run, answered later."""
        page = self.hub.visible.get(request.path_params["slug"])
        inputs = await read_inputs(request, page.demo, self.hub.limits.max_bytes)
        who, wish = guard.caller(request), wish_of(request)

        def work() -> JobAnswer:
            return self._view(request, self.jobs.ask_run(page.slug, inputs(), who, wish))

        return _promised(request, await to_thread.run_sync(work))

    async def ask_batch(self, request: Request) -> Response:
        page = self.hub.visible.get(request.path_params["slug"])
        check_names(request.query_params, PLACES)
        who, wish = guard.caller(request), wish_of(request)
        declared = request.headers.get("content-length", "")
        size = int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 16 else None
        size = None if "dataset" in request.query_params else size
        folder = await to_thread.run_sync(self.jobs.begin_batch, page.slug, who, wish, size)
        promised = False
        try:
            most = self.hub.settings.batch_pictures
            of_hub = request.query_params.get("dataset", "")
            if of_hub and not request.headers.get("content-type"):
                form = Form(folder, b"none", 0)
            else:
                form = await read_form(request, folder, most + 2, self.jobs.batch_bytes)
            truth = request.query_params.get("truth", "auto")
            work = partial(self._ask_batch, request, page, folder, form, truth, who, wish)
            answer = await to_thread.run_sync(work)
            promised = True
        finally:
            if not promised:
                await to_thread.run_sync(folder.close, False)
        return _promised(request, answer)

    def _ask_batch(
        self, request: Request, page: Page, folder: NewFolder, form: Form, truth: str, who: Caller, wish: Wish
    ) -> JobAnswer:
        # A browser sends an empty part without a file name where no file was chosen.
        files = [(one.name, one.file, one.head) for one in form.files if one.name or one.size]
        most, query = self.hub.settings.batch_pictures, request.query_params
        pictures = given.list_pictures(folder.path, files, most, truth, masks=bool(mask_output(page.demo)))
        digests = [one.sha.hexdigest() for one in form.files]
        if of_hub := query.get("dataset", ""):
            if self.hub.settings.offline:
                raise UnavailableError("This hub fetches nothing from elsewhere (offline). Send the pictures.")
            if pictures:
                raise InputError("Send files or name a dataset, not both.", field="dataset")
            wanted = hub_datasets.Wanted(of_hub, query.get("split", "train"), query.get("revision", "main"))
            pictures = hub_datasets.fetch(wanted, folder, most, truth, masks=bool(mask_output(page.demo)))
            digests = [wanted.name, wanted.split, wanted.revision]
        raw = {name: _value(page, name, texts) for name, texts in form.fields.items()}
        job = self.jobs.ask_batch(folder, page.slug, raw, pictures, digests, who, wish)
        return self._view(request, job)

    # --- looking ----------------------------------------------------------------------------------

    async def list(self, request: Request) -> Response:
        """The jobs of who asks."""
        who, root = guard.caller(request), request.scope.get("root_path", "")

        def find() -> JobsAnswer:
            return {"jobs": [job_to_json(view, root) for view in self.jobs.of_caller(who)]}

        return json_answer(await to_thread.run_sync(find))

    async def one(self, request: Request) -> Response:
        answer = await to_thread.run_sync(lambda: self._view(request, self._job(request)))
        return json_answer(answer, headers=_again(answer))

    async def events(self, request: Request) -> Response:
        """The same again and again, until it has ended."""
        return await self._streams.stream(request, lambda: self._view(request, self._job(request)))

    async def end(self, request: Request) -> Response:
        """Cancels what has not ended; deletes what has."""
        who, id = guard.caller(request), request.path_params["id"]
        job = await to_thread.run_sync(self.jobs.cancel, id, who)
        if job is None:
            return Response(status_code=204, headers=FRESH)
        return json_answer(await to_thread.run_sync(self._view, request, job))

    async def result(self, request: Request) -> Response:
        """What the run would have been answered with."""
        job = await to_thread.run_sync(self._job, request)
        root = request.scope.get("root_path", "")
        if job.kind == "batch":
            raise NotFoundError("A batch has rows in the place of a result: {url}", url=f"{API}/jobs/{job.id}/rows")
        if not job.has_ended:
            raise ConflictError("The job has not ended yet.")
        if job.problem is not None or job.state == "cancelled":
            raise _error_of(job.problem)
        result = await to_thread.run_sync(self.hub.results.get, job.result)
        if result is None:
            raise NotFoundError("The result of this job is not kept any more.")
        result = await to_thread.run_sync(self.hub.shown.look, self.hub.owners.of(guard.caller(request)), result)
        return json_answer(answers.result_to_json(result, self.hub.visible.pages.get(job.page), root))

    def _job(self, request: Request) -> StoredJob:
        return self.jobs.get(request.path_params["id"])

    def _view(self, request: Request, job: StoredJob) -> JobAnswer:
        return job_to_json(self.jobs.view(job), request.scope.get("root_path", ""))

    # --- the table of a batch ---------------------------------------------------------------------

    def _batch(self, request: Request) -> StoredJob:
        job = self._job(request)
        if job.kind != "batch":
            raise NotFoundError("This job is one run; it has a result and no rows.")
        return job

    async def rows(self, request: Request) -> Response:
        """One page of the table, sorted and searched."""
        parameters: Mapping[str, str] = request.query_params
        check_names(parameters, ["page", "per_page", "order", "q", "answer", "state", "wrong"])
        page = whole_number(parameters.get("page", "1"), "page", PAGES_MOST)
        size = whole_number(parameters.get("per_page", str(PER_PAGE)), "per_page", PER_PAGE_MOST)
        order = parameters.get("order", "number")
        if order not in ORDERS:
            listed = ", ".join(ORDERS)
            raise InputError("{name} must be one of {listed}.", name="order", listed=listed, field="order")
        for name, allowed in (("state", get_args(RowState)), ("wrong", ("true",))):
            if name in parameters and parameters[name] not in allowed:
                raise InputError("{name} must be one of {listed}.", name=name, listed=", ".join(allowed), field=name)
        text, answer, state = (parameters.get(name, "")[:TEXT_CHARS] for name in ("q", "answer", "state"))
        wanted, root = (
            Wanted(text, answer, state, parameters.get("wrong") == "true"),
            request.scope.get("root_path", ""),
        )

        def find() -> RowsAnswer:
            job = self._batch(request)
            found, total = self.jobs.rows.some(job.id, wanted, order, size, (page - 1) * size)
            rows = [row_to_json(job, row, root) for row in found]
            return {"total": total, "page": page, "per_page": size, "rows": rows}

        return json_answer(await to_thread.run_sync(find))

    async def summary(self, request: Request) -> Response:
        def work() -> dict[str, Any]:
            job = self._batch(request)
            return asdict(summarise(self.jobs.rows, job, self.hub.visible.get(job.page).demo))

        return json_answer(await drawers.draw(guard.caller(request), work))

    async def csv(self, request: Request) -> Response:
        job = await to_thread.run_sync(self._batch, request)
        base = addresses.base(self.hub.settings, request)
        numbers = await to_thread.run_sync(self.jobs.rows.number_names, job.id)
        pieces = tables.to_csv(self.jobs.rows.all(job.id), numbers, lambda id: f"{base}{API}/results/{id}")
        return _file(job, pieces, "csv", "text/csv; charset=utf-8")

    async def json_lines(self, request: Request) -> Response:
        job = await to_thread.run_sync(self._batch, request)
        pieces = tables.to_json_lines(self.jobs.rows.all(job.id), self.hub.results.get)
        return _file(job, pieces, "jsonl", "application/jsonl")

    async def pictures(self, request: Request) -> Response:
        job = await to_thread.run_sync(self._batch, request)
        pieces = tables.to_zip(self.jobs.rows.all(job.id), self.hub.results.get)
        return _file(job, pieces, "zip", "application/zip")

    async def thumbnail(self, request: Request) -> Response:
        """Of the picture that went in."""
        small = await drawers.draw(guard.caller(request), self._draw, request, _draw_small)
        return Response(small, media_type="image/webp", headers={"Cache-Control": DAY})

    async def picture(self, request: Request) -> Response:
        """The same, large enough to say on it what is right."""
        return send_view(*await drawers.draw(guard.caller(request), self._draw, request, draw_view))

    def _draw(self, request: Request, draw: Callable[[bytes, ImageLimits], T]) -> T:
        job, number = self._batch(request), request.path_params["number"]
        row = self.jobs.rows.one(job.id, number)
        if row is None:
            raise NotFoundError("This batch has no picture {number}.", number=number)
        reader = PictureReader(self.jobs.folders.of(job), self.hub.limits)
        try:
            return draw(reader.read(row), self.hub.limits)
        except InputError as error:
            raise NotFoundError("There is nothing to show of it: {why}", why=error.message) from None
        finally:
            reader.close()


def _draw_small(data: bytes, limits: ImageLimits) -> bytes:
    with budget.room():
        return thumbnail(decode(data, limits), SIDE, "tile")


# --- what is answered -----------------------------------------------------------------------------


def job_to_json(view: JobView, root: str = "") -> JobAnswer:
    """A job as it stands now."""
    job, url = view.job, f"{root}{API}/jobs/{view.job.id}"
    links = {"events": f"{url}/events", "result": f"{url}/result"}
    if job.kind == "batch":
        names = {"rows": "rows", "summary": "summary", "csv": "table.csv", "json_lines": "table.jsonl",
                 "pictures": "pictures.zip"}  # fmt: skip
        links = (
            {"events": links["events"]}
            | {name: f"{url}/{end}" for name, end in names.items()}
            | {"page": f"{root}/many/{job.page}/{job.id}"}
        )
    return {
        "id": job.id,
        "kind": job.kind,
        "demo": job.page,
        "state": job.state,
        "url": url,
        "created_at": iso(job.created),
        "begun_at": iso(job.begun) if job.begun else None,
        "ended_at": iso(job.ended) if job.ended else None,
        "place": view.place,
        "left_s": view.left_s,
        "progress": {
            "done": view.done, "failed": view.failed, "total": job.total, "stage": view.stage, "step": view.step,
            "steps": view.steps,
        },
        "settings": {name: value for name, value in job.parameters.items() if value not in ("", None)},
        "labelled": job.labelled,
        "result": f"{root}{API}/results/{job.result}" if job.result else None,
        "problem": _problem_to_json(job, url),
        "links": links,
    }  # fmt: skip


def row_to_json(job: StoredJob, row: Row, root: str) -> RowAnswer:
    """One picture of a batch."""
    values = tables.row_to_json(row)
    values["result"] = f"{root}{API}/results/{row.result}" if row.result else None
    values["thumbnail"] = f"{root}{API}/jobs/{job.id}/rows/{row.number}/thumbnail"
    return values  # type: ignore[return-value]  # the same names


def _problem_to_json(job: StoredJob, url: str) -> ProblemAnswer | None:
    if job.problem is None:
        return None
    problem = job.problem
    body: ProblemAnswer = {
        "type": f"urn:demo-hub:problem:{problem.code}", "title": problem.title, "status": problem.status,
        "detail": problem.detail, "instance": url, "code": problem.code,
    }  # fmt: skip
    return {**body, "field": problem.field} if problem.field else body


def _error_of(problem: Problem | None) -> HubError:
    """The error that a run ended with."""
    if problem is None:
        return ConflictError("The job was cancelled.")
    error = HubError(problem.detail, field=problem.field or None)
    error.status, error.title, error.code = problem.status, problem.title, problem.code
    return error


def _value(page: Page, name: str, texts: list[str]) -> str | list[str]:
    several = any(f.name == name and isinstance(f, Choices) for f in page.demo.inputs)
    if len(texts) > 1 and not several:
        raise InputError("{name} is given more than once; give it once.", name=name[:80], field=name[:80])
    return texts if len(texts) > 1 else texts[0]


def _promised(request: Request, answer: JobAnswer) -> Response:
    headers = {**FRESH, "Location": answer["url"], "Retry-After": str(LOOK_AGAIN_S)}
    if prefers_async(request):
        headers["Preference-Applied"] = "respond-async"
    return json_answer(answer, 202, headers)


def _again(answer: JobAnswer) -> dict[str, str]:
    return {**FRESH, **({} if answer["ended_at"] else {"Retry-After": str(LOOK_AGAIN_S)})}


def _file(job: StoredJob, pieces: Iterator[bytes], ending: str, media_type: str) -> Response:
    name = f"{job.page}-{job.id[:8]}.{ending}"
    headers = {**FRESH, "Content-Disposition": f'attachment; filename="{name}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)
