"""The doors of small grids: the page `/grid`, drawn by its own script, and `POST /api/v1/demos/<slug>/grid`."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from hub import texts
from hub.archive import gallery
from hub.batch import small
from hub.batch.plan import Cell, Plan
from hub.batch.small import Done, Drawn
from hub.engine.jobs import Cancel
from hub.errors import BusyError
from hub.hub import Hub
from hub.pages.kinds import picture_outputs, prompt_input
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.spec import Choice, Demo, Progress, Slider, Text
from hub.web import routes as plain
from hub.web.api import events
from hub.web.api.answers import API
from hub.web.api.bodies import read_object
from hub.web.api.demos import Methods
from hub.web.api.gallery import POLICY
from hub.web.middleware import guard
from hub.web.site import links as permalinks

AT_ONCE = 4  # grids; one more is answered 429
KINDS = {Slider: "number", Choice: "choice", Text: "text"}  # of settings that the page offers


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `rest.routes`, which answer everything under /api."""
    door = _Door(hub)
    table = {
        "/grid": {"GET": door.page},
        "/grid/{name}": {"GET": door.static},
        f"{API}/demos/{{slug}}/grid": {"POST": door.draw},
    }
    return [Route(path, Methods(endpoints), name=f"grid:{path}") for path, endpoints in table.items()]


class _Door:
    """The endpoints over one engine."""

    def __init__(self, hub: Hub):
        self.hub, self.threads = hub, CapacityLimiter(AT_ONCE)

    # --- the page ---------------------------------------------------------------------------------

    async def page(self, request: Request) -> Response:
        pages = [page for page in self.hub.registry if small.fits(page)]
        asked = request.query_params.get("page", "")
        chosen = next((page for page in pages if page.slug == asked), pages[0] if pages else None)
        given = {name: request.query_params.get(name, "") for name in ("subjects", "styles", "seeds", "template")}
        text = permalinks.templates().get_template("grid.html").render(
            home="./", here="r/", words=texts.section(texts.current().language, "grid"), pages=pages, chosen=chosen,
            most=small.MOST, given=given,
            singles=self.hub.settings.similar, fields=_fields(chosen.demo, request.query_params) if chosen else [],
            hints=[example.inputs.get(prompt_input(chosen.demo)) for example in chosen.demo.examples] if chosen else [],
        )  # fmt: skip
        return HTMLResponse(text, headers={**plain.HEADERS, "Content-Security-Policy": POLICY})

    async def static(self, request: Request) -> Response:
        return plain.file(request.path_params["name"], "grid")

    # --- drawing ----------------------------------------------------------------------------------

    async def draw(self, request: Request) -> Response:
        """One document at the end, or events as it goes. Who closes the connection cancels what is not drawn yet."""
        page = self.hub.registry.get(request.path_params["slug"])
        given = await read_object(request, small.FIELDS, ("subjects",))
        if self.threads.available_tokens < 1:
            raise BusyError(
                "{at_once} grids are being drawn, the most at once. Try again in a moment.",
                at_once=AT_ONCE,
                retry_after_s=5,
            )
        made = await to_thread.run_sync(small.make, self.hub, page.slug, given)
        who, told = guard.caller(request), _Told(page, made, request.scope.get("root_path", ""))

        async def work(hear: small.Hear, cancel: Cancel) -> bytes:
            hear("plan")
            draw = partial(self._draw, made, hear, cancel, who, told)
            return await to_thread.run_sync(draw, limiter=self.threads, abandon_on_cancel=True)

        if events.wanted(request):
            return events.stream(request, work, told)
        return Response(await events.alone(request, work), media_type="application/json")

    def _draw(self, made: Plan, hear: small.Hear, cancel: Cancel, who: Caller, told: _Told) -> bytes:
        begin = time.monotonic()
        done = small.draw(self.hub, made, hear, cancel, who)
        return _dump(told.document(done, time.monotonic() - begin))


class _Told:
    """What a grid's client is told, as events and as one document."""

    def __init__(self, page: Page, made: Plan, root_path: str):
        self.page, self.made, self.root = page, made, root_path
        self.outputs, self.total = picture_outputs(page.demo), len({cell.name for cell in made.cells()})

    def __call__(self, kind: str, *what: Any) -> bytes:
        if kind == "plan":
            return events.event("plan", self.plan())
        if kind == "cell":
            cell, stage, progress = what
            return events.event("cell", _step(cell, stage, progress))
        if kind == "drawn":
            drawn, count, left_s = what
            far = {"done": count, "total": self.total, "left_s": None if left_s is None else round(left_s, 2)}
            return events.event("picture", {**self.drawn(drawn), **far})
        cell, text = what
        return events.event("failed", {"cell": cell.name, "detail": text})

    def plan(self) -> dict[str, Any]:
        made = self.made
        return {
            "run": made.run, "demo": made.page, "weights": made.weights, "digest": made.digest,
            "subjects": made.subjects, "styles": made.styles, "seeds": made.seeds,
            "gallery": f"{self.root}/gallery?run={made.run}", "cells": [self.cell(cell) for cell in made.cells()],
        }  # fmt: skip

    def cell(self, cell: Cell) -> dict[str, Any]:
        place = gallery.address(self.made.page, cell.parameters, self.made.weights if self._several() else "")
        return {
            "cell": cell.name, "subject": cell.subject, "style": cell.style, "seed": cell.seed, "prompt": cell.prompt,
            "settings": dict(cell.parameters), "open": f"{self.root}/{place}",
        }  # fmt: skip

    def drawn(self, drawn: Drawn) -> dict[str, Any]:
        result = drawn.result
        pictures = [
            {"url": f"{self.root}{API}/results/{result.id}/{name}/{number}", "caption": picture.caption,
             "width": picture.width, "height": picture.height}
            for name in self.outputs for number, picture in enumerate(result.pictures.get(name, ()))
        ]  # fmt: skip
        return {"cell": drawn.cell.name, "id": result.id, "pictures": pictures, "receipt": asdict(result.receipt)}

    def document(self, done: Done, seconds: float) -> dict[str, Any]:
        plan, found = self.plan(), {drawn.cell.name: self.drawn(drawn) for drawn in done.drawn}
        problems = {name: {"problem": text} for name, text in done.failed.items()}
        cells = [{**cell, **found.get(cell["cell"], {}), **problems.get(cell["cell"], {})} for cell in plan["cells"]]
        counts = {"drawn": done.computed, "kept": len(done.drawn) - done.computed, "failed": len(done.failed)}
        return {**plan, "cells": cells, **counts, "seconds": round(seconds, 2)}

    def _several(self) -> bool:
        return len(self.page.demo.weights) > 1


def _step(cell: Cell, stage: str, progress: Progress | None) -> dict[str, Any]:
    return {"cell": cell.name, "stage": stage, **(events.steps(progress) if progress else {})}


def _fields(demo: Demo, given: Mapping[str, str]) -> list[dict[str, Any]]:
    """The page's other settings, as the form draws them; `given` holds values, as `set.NAME`."""
    found, words = [], prompt_input(demo)
    for entry in demo.inputs:
        kind = next((kind for type_, kind in KINDS.items() if isinstance(entry, type_)), "")
        of_weights = getattr(entry, "options_from", "") or getattr(entry, "default_from", "")
        if not kind or entry.name in (words, small.SEVERAL) or of_weights:
            continue
        usual: Any = getattr(entry, "default", None) or ""
        found.append({
            "name": entry.name, "label": entry.label, "help": entry.help, "kind": kind, "usual": usual,
            "value": given.get(f"set.{entry.name}", usual), "entry": entry,
            "options": [(option, option) for option in (entry.options if isinstance(entry, Choice) else ())],
        })  # fmt: skip
    if len(demo.weights) > 1:
        options = [(weights.name, weights.title or weights.name) for weights in demo.weights]
        first = demo.weights[0].name
        found.append({"name": "weights", "label": "Weights", "help": "", "kind": "choice", "usual": first,
                      "value": given.get("set.weights", first), "entry": None, "options": options})  # fmt: skip
    return found


def _dump(body: Any) -> bytes:
    return json.dumps(body, allow_nan=False, separators=(",", ":")).encode()
