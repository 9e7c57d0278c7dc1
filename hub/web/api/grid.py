"""Small grids over REST: `POST /api/v1/demos/<slug>/grid`."""

from __future__ import annotations

import time
from dataclasses import asdict
from functools import partial
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive import gallery
from hub.batch import small
from hub.batch.plan import Cell, Plan
from hub.batch.small import Done, Drawn
from hub.engine.jobs import Cancel
from hub.errors import BusyError
from hub.hub import Hub
from hub.pages.kinds import picture_outputs
from hub.pages.registry import Page
from hub.people.users import Caller
from hub.spec import Progress
from hub.web.api import events
from hub.web.api.bodies import read_object
from hub.web.api.schemas.gallery import DrawnCellAnswer, DrawnPictureAnswer, GridAnswer, GridCellAnswer, GridPlanAnswer
from hub.web.middleware import guard
from hub.web.routes import API, dump_json, json_answer, routes_of

AT_ONCE = 4  # grids; one more is answered 429


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    return routes_of({f"{API}/demos/{{slug}}/grid": {"POST": GridRoutes(hub).draw}}, "grid")


class GridRoutes:
    """The endpoints over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.threads = hub, CapacityLimiter(AT_ONCE)

    # --- drawing ----------------------------------------------------------------------------------

    async def draw(self, request: Request) -> Response:
        """One document at the end, or events as it goes. Who closes the connection cancels what is not drawn yet."""
        page = self.hub.seen.to_run(request.path_params["slug"], guard.caller(request))
        fields = await read_object(request, small.FIELDS, ("subjects",))
        if self.threads.available_tokens < 1:
            raise BusyError(
                "{at_once} grids are being drawn, the most at once. Try again in a moment.",
                at_once=AT_ONCE,
                retry_after_s=5,
            )
        plan = await to_thread.run_sync(small.make, self.hub, page.slug, fields)
        who, answer = guard.caller(request), _Answer(page, plan, request.scope.get("root_path", ""))

        async def work(hear: small.Hear, cancel: Cancel) -> bytes:
            hear("plan")
            draw = partial(self._draw, plan, hear, cancel, who, answer)
            return await to_thread.run_sync(draw, limiter=self.threads, abandon_on_cancel=True)

        if events.wants_events(request):
            return events.stream(request, work, answer)
        return json_answer(await events.answer_once(request, work), headers={})

    def _draw(self, plan: Plan, hear: small.Hear, cancel: Cancel, who: Caller, answer: _Answer) -> bytes:
        begin = time.monotonic()
        done = small.draw(self.hub, plan, hear, cancel, who)
        return dump_json(answer.document(done, time.monotonic() - begin), is_event=True)


class _Answer:
    """A grid's answer to its client, as events and as one document."""

    def __init__(self, page: Page, grid: Plan, root_path: str):
        self.page, self.grid, self.root = page, grid, root_path
        self.outputs, self.total = picture_outputs(page.demo), len({cell.name for cell in grid.cells()})

    def __call__(self, kind: str, *what: Any) -> bytes:
        if kind == "plan":
            return events.format_event("plan", self.plan_to_json())
        if kind == "cell":
            cell, stage, progress = what
            return events.format_event("cell", _step_to_json(cell, stage, progress))
        if kind == "drawn":
            drawn, count, left_s = what
            far = {"done": count, "total": self.total, "left_s": None if left_s is None else round(left_s, 2)}
            return events.format_event("picture", {**self.picture_to_json(drawn), **far})
        cell, text = what
        return events.format_event("failed", {"cell": cell.name, "detail": text})

    def plan_to_json(self) -> GridPlanAnswer:
        plan = self.grid
        return {
            "run": plan.run, "demo": plan.page, "weights": plan.weights, "digest": plan.digest,
            "subjects": [*plan.subjects], "styles": [*plan.styles], "seeds": [*plan.seeds],
            "gallery": f"{self.root}/gallery?run={plan.run}",
            "cells": [self.cell_to_json(cell) for cell in plan.cells()],
        }  # fmt: skip

    def cell_to_json(self, cell: Cell) -> GridCellAnswer:
        place = gallery.address(self.grid.page, cell.parameters, self.grid.weights if self._several() else "")
        return {
            "cell": cell.name, "subject": cell.subject, "style": cell.style, "seed": cell.seed, "prompt": cell.prompt,
            "settings": dict(cell.parameters), "open": f"{self.root}/{place}",
        }  # fmt: skip

    def picture_to_json(self, drawn: Drawn) -> DrawnCellAnswer:
        result = drawn.result
        pictures: list[DrawnPictureAnswer] = [
            {"url": f"{self.root}{API}/results/{result.id}/{name}/{number}", "caption": picture.caption,
             "width": picture.width, "height": picture.height}
            for name in self.outputs for number, picture in enumerate(result.pictures.get(name, ()))
        ]  # fmt: skip
        return {"cell": drawn.cell.name, "id": result.id, "pictures": pictures, "receipt": asdict(result.receipt)}

    def document(self, done: Done, seconds: float) -> GridAnswer:
        head, drawn = self.plan_to_json(), {one.cell.name: self.picture_to_json(one) for one in done.drawn}
        cells = [_add_outcome(cell, drawn.get(cell["cell"]), done.failed.get(cell["cell"])) for cell in head["cells"]]
        return {
            **head,
            "cells": cells,
            "drawn": done.computed,
            "kept": len(done.drawn) - done.computed,
            "failed": len(done.failed),
            "seconds": round(seconds, 2),
        }

    def _several(self) -> bool:
        return len(self.page.demo.weights) > 1


def _add_outcome(cell: GridCellAnswer, drawn: DrawnCellAnswer | None, problem: str | None) -> GridCellAnswer:
    """A cell with what came of it."""
    if drawn is not None:
        cell = {**cell, **drawn}
    return cell if problem is None else {**cell, "problem": problem}


def _step_to_json(cell: Cell, stage: str, progress: Progress | None) -> dict[str, Any]:
    return {"cell": cell.name, "stage": stage, **(events.steps_to_json(progress) if progress else {})}
