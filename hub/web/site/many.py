"""The page `/many/<slug>`: many pictures are chosen and sent as a job, whose table is at `/many/<slug>/<job>`."""

from __future__ import annotations

import re
from functools import partial
from typing import Any

from anyio import to_thread
from rich.filesize import decimal
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub import texts
from hub.archive.corrections.corrections import Said
from hub.errors import ForbiddenError, HubError, NotFoundError
from hub.hub import Hub
from hub.jobs.folders import PictureReader
from hub.jobs.measured import mask_output
from hub.jobs.reading import picture_input
from hub.jobs.records import Row, StoredJob
from hub.pages.registry import Page
from hub.spec import Choice, Choices, Number, Slider, Text, Toggle
from hub.texts import say
from hub.web import drawers
from hub.web.middleware import guard
from hub.web.parts import corrections as drawn
from hub.web.routes import API, ASKING, HEADERS, file, routes_of
from hub.web.site.links import CORRECTION_BYTES, read_form, said_in
from hub.web.site.templates import draw_page
from hub.weights import facts

AGAIN = "again"  # in the address, to say something else of an answer
ID = re.compile(r"[0-9a-f]{32}")
KINDS = {Slider: "number", Number: "number", Choice: "choice", Toggle: "choice", Choices: "choices", Text: "text"}
YES_OR_NO = (("true", "Yes"), ("false", "No"))


def routes(hub: Hub) -> list[BaseRoute]:
    """The pages, their style and their scripts."""
    pages = ManyPages(hub)
    table = {
        "/many": {"GET": pages.page},
        "/many/{name}": {"GET": pages.page_or_file},
        "/many/{name}/{job}": {"GET": pages.page},
        "/many/{name}/{job}/{number:int}/correction": {"GET": pages.correction, "POST": pages.correct},
    }
    return routes_of(table, "many", page=partial(_problem, hub))


class ManyPages:
    """The pages and their files."""

    def __init__(self, hub: Hub):
        self.hub = hub

    async def page_or_file(self, request: Request) -> Response:
        name = request.path_params["name"]
        return file(name, "many") if "." in name else await self.page(request)

    async def page(self, request: Request) -> Response:
        slug, job = request.path_params.get("name", ""), request.path_params.get("job", "")
        fitting = [page for page in self.hub.visible if picture_input(page.declared)]
        chosen = next((page for page in fitting if page.slug == slug), None)
        if slug and chosen is None:
            self.hub.visible.get(slug)  # which suggests a name that is near
            raise NotFoundError("This page takes no batch: that is for pages that need one picture.")
        if job and not ID.fullmatch(job):
            raise NotFoundError("There is no such job.")
        if chosen is None and fitting:
            chosen = fitting[0]
        settings, up = self.hub.settings, _up(request)
        fields = await to_thread.run_sync(_fields, self.hub, chosen) if chosen else []
        text = draw_page(
            "many.html", home=up or "./", here=f"{up}r/", menu=self.hub.visible, place="many",
            signed_in=guard.caller(request).name, words=texts.section(texts.current().language, "many"),
            pages=fitting, chosen=chosen, job=job, fields=fields, most=settings.batch_pictures,
            fetches=not settings.offline, masks=bool(chosen and mask_output(chosen.demo)),
            most_bytes=self.hub.jobs.batch_bytes, size=decimal(self.hub.jobs.batch_bytes),
        )  # fmt: skip
        return HTMLResponse(text, headers=ASKING)

    # --- what is right ----------------------------------------------------------------------------

    async def correction(self, request: Request) -> Response:
        """What who asked for the batch said of one answer, or the form in which they do; for others, nothing."""
        return HTMLResponse(await to_thread.run_sync(self._correction, request), headers=HEADERS)

    def _correction(self, request: Request) -> str:
        corrections, who = self.hub.corrections, self.hub.owners.of(guard.caller(request))
        job, row = self._answer(request)
        if not corrections.enabled or not self.hub.jobs.is_of(job, who):
            return ""
        said = None if AGAIN in request.query_params else corrections.store.last_of(row.result, who.id)
        if said:
            return drawn.draw_kept(said, _up(request))
        picture = f"{_up(request)}{API[1:]}/jobs/{job.id}/rows/{row.number}/picture"
        return drawn.draw_form(corrections.subject(row.result, who, known=True), picture=picture)

    async def correct(self, request: Request) -> Response:
        form = await read_form(request, CORRECTION_BYTES)
        text = await drawers.draw(guard.caller(request), self._correct, request, said_in(form))
        return HTMLResponse(text, 201, headers=HEADERS)

    def _correct(self, request: Request, said: Said) -> str:
        who, (job, row) = self.hub.owners.of(guard.caller(request)), self._answer(request)
        if not self.hub.jobs.is_of(job, who):
            raise ForbiddenError("Only who asked for a batch says what is right in it.")
        pictures = {}
        if said.keeps:
            reader = PictureReader(self.hub.jobs.folders.of(job), self.hub.limits)
            try:
                pictures[picture_input(self.hub.visible.get(job.page).demo)] = reader.read(row)
            finally:
                reader.close()
        kept = self.hub.corrections.correct(row.result, said, who, pictures, known=True)
        return drawn.draw_kept(kept, _up(request))

    def _answer(self, request: Request) -> tuple[StoredJob, Row]:
        """One picture of a batch that has an answer. Raises NotFoundError."""
        job = self.hub.jobs.get(request.path_params["job"])
        row = self.hub.jobs.rows.one(job.id, request.path_params["number"])
        if row is None or not row.result:
            raise NotFoundError("This batch has no answer to a picture of this number.")
        return job, row


def _up(request: Request) -> str:
    """From the page's address to the hub's root."""
    path = str(request.scope["path"]).removeprefix(request.scope.get("root_path", ""))
    return path.strip("/").count("/") * "../"


def _fields(hub: Hub, page: Page) -> list[dict[str, Any]]:
    """The page's other inputs, as the form draws them."""
    fields, options = list[dict[str, Any]](), facts.all_options(hub.weights, page)
    for entry in page.demo.inputs:
        kind = next((kind for type_, kind in KINDS.items() if isinstance(entry, type_)), "")
        if not kind:
            continue
        usual: Any = getattr(entry, "default", None)
        if getattr(entry, "default_from", ""):
            usual = ""  # as the chosen weights have it
        names = tuple(options.get(entry.name) or getattr(entry, "options", None) or ())
        choices = YES_OR_NO if isinstance(entry, Toggle) else [(name, name) for name in names]
        fields.append({
            "name": entry.name, "label": entry.label, "help": entry.help, "kind": kind, "entry": entry,
            "usual": "" if usual is None else str(usual).lower() if isinstance(entry, Toggle) else usual,
            "step": getattr(entry, "step", 1 if getattr(entry, "integer", False) else "any"),
            "options": names if kind == "choices" else choices,
        })  # fmt: skip
    if len(page.demo.weights) > 1:
        choices = [(weights.name, weights.title or weights.name) for weights in page.demo.weights]
        fields.insert(0, {"name": "weights", "label": "Weights", "help": "", "kind": "choice", "entry": None,
                          "usual": choices[0][0], "options": choices})  # fmt: skip
    return fields


def _problem(hub: Hub, error: HubError, request: Request) -> HTMLResponse:
    up = _up(request)
    text = draw_page(
        "problem.html", home=up or "./", here=f"{up}r/", menu=hub.visible, place="many", title=say(error.title),
        message=say(error.message), signed_in=guard.caller(request).name,
    )  # fmt: skip
    return HTMLResponse(text, error.status, headers=HEADERS)
