"""Corrections over REST: say what is right, list and delete what was said; one's own, and with the role admin all."""

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

from hub.archive.corrections.corrections import Said
from hub.archive.corrections.parts import Part
from hub.archive.corrections.store import GONE, Correction, Wanted
from hub.archive.gallery import PAGES_MOST, PER_PAGE, PER_PAGE_MOST
from hub.errors import InputError, NotFoundError
from hub.hub import Hub
from hub.people.users import Caller
from hub.suggest import unknown
from hub.web import drawers
from hub.web.api.bodies import read_wishes
from hub.web.api.schemas.corrections import CorrectableAnswer, CorrectionAnswer, CorrectionsAnswer, PartAnswer
from hub.web.middleware import guard
from hub.web.routes import API, FRESH, check_names, json_answer, routes_of, whole_number

WISHES = ("verdict", "correction", "note", "keep_picture")
FILTERS = ("demo", "verdict", "page", "per_page")
VERDICTS = ("right", "wrong")


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    endpoints = CorrectionRoutes(hub)
    table = {
        f"{API}/results/{{id}}/correction": {"GET": endpoints.look, "POST": endpoints.say},
        f"{API}/results/{{id}}/correction/{{name}}": {"GET": endpoints.input},
        f"{API}/links/{{id}}/correction": {"POST": endpoints.say_of_link},
        f"{API}/corrections": {"GET": endpoints.list},
        f"{API}/corrections/{{id}}": {"GET": endpoints.one, "DELETE": endpoints.remove},
        f"{API}/corrections/{{id}}/pictures/{{name}}": {"GET": endpoints.picture},
    }
    return routes_of(table, "corrections")


class CorrectionRoutes:
    """The endpoints over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.corrections = hub, hub.corrections

    # --- saying -----------------------------------------------------------------------------------

    async def look(self, request: Request) -> Response:
        id, who = request.path_params["id"], self.hub.owners.of(guard.caller(request))

        def find() -> CorrectableAnswer:
            subject = self.corrections.subject(id, who)
            said = self.corrections.store.last_of(id, who.id)
            return {
                "parts": [part_to_json(part) for part in subject.blank.parts],
                "pictured": subject.pictured,
                "said": self._to_json(request, said) if said else None,
            }

        return json_answer(await to_thread.run_sync(find))

    async def say(self, request: Request) -> Response:
        said, id = said_of(await read_wishes(request, WISHES)), request.path_params["id"]
        who = self.hub.owners.of(guard.caller(request))
        work = partial(self.corrections.correct, id, said, who)
        # A picture that is to be kept is decoded, and made anew.
        kept = await (drawers.draw(guard.caller(request), work) if said.keeps else to_thread.run_sync(work))
        return json_answer(self._to_json(request, kept), 201)

    async def say_of_link(self, request: Request) -> Response:
        said, id = said_of(await read_wishes(request, WISHES)), request.path_params["id"]
        who = self.hub.owners.of(guard.caller(request))

        def keep() -> Correction:
            mine = bool(who.ids) and self.hub.sharing.links.owns(id, owners=who.ids)
            return self.corrections.correct_shared(id, said, who, mine)

        return json_answer(self._to_json(request, await to_thread.run_sync(keep)), 201)

    async def input(self, request: Request) -> Response:
        """What went in, to who ran it."""
        id, name = request.path_params["id"], request.path_params["name"]
        who = self.hub.owners.of(guard.caller(request))
        return send_view(*await drawers.draw(guard.caller(request), self.corrections.look, id, name, who))

    # --- looking and deleting ---------------------------------------------------------------------

    async def list(self, request: Request) -> Response:
        found = await to_thread.run_sync(find_corrections, self.hub, guard.caller(request), request.query_params)
        corrections, total, page, size = found
        pages, everybody = await to_thread.run_sync(count_pages, self.hub, guard.caller(request))
        answer: CorrectionsAnswer = {
            "total": total,
            "page": page,
            "per_page": size,
            "everybody": everybody,
            "corrections": [self._to_json(request, one) for one in corrections],
            "demos": [{"slug": slug, "title": title, "count": count} for slug, title, count in pages],
        }
        return json_answer(answer)

    async def one(self, request: Request) -> Response:
        return json_answer(self._to_json(request, await to_thread.run_sync(find_one, self.hub, request)))

    async def remove(self, request: Request) -> Response:
        owners = whose(self.hub, guard.caller(request))
        if not await to_thread.run_sync(self.corrections.store.remove, [request.path_params["id"]], owners):
            raise NotFoundError(GONE)
        return Response(status_code=204, headers=FRESH)

    async def picture(self, request: Request) -> Response:
        return await send_picture(self.hub, request)

    def _to_json(self, request: Request, correction: Correction) -> CorrectionAnswer:
        here = f"{request.scope.get('root_path', '')}{API}/corrections/{correction.id}"
        page = self.hub.visible.pages.get(correction.page)
        return {
            "id": correction.id,
            "demo": correction.page,
            "title": page.title if page else correction.page,
            "result": None if correction.link else correction.target,
            "link": correction.link or None,
            "headline": correction.headline,
            "verdict": correction.verdict,
            "correction": dict(correction.value),
            "parts": [part_to_json(part) for part in correction.parts],
            "note": correction.note,
            "weights": correction.weights,
            "digest": correction.digest,
            "created_at": datetime.fromtimestamp(correction.created, UTC).isoformat(timespec="seconds"),
            "pictures": {name: f"{here}/pictures/{quote(name, safe='')}" for name in correction.pictures},
            "mine": bool(correction.owner) and correction.owner in self.hub.owners.of(guard.caller(request)).ids,
        }


def said_of(body: Mapping[str, Any]) -> Said:
    """Raises InputError."""
    keeps = body.get("keep_picture") or False
    if not isinstance(keeps, bool):
        raise InputError("keep_picture must be true or false.", field="keep_picture")
    return Said(body.get("verdict", ""), body.get("correction"), body.get("note"), keeps)


def part_to_json(part: Part) -> PartAnswer:
    """A part as JSON data."""
    return {**asdict(part), "options": [*part.options], "rows": [*part.rows], "size": [*part.size]}  # type: ignore[typeddict-item]  # asdict tells no keys


def whose(hub: Hub, caller: Caller) -> tuple[str, ...] | None:
    """Whose corrections a caller sees and deletes: their own; with the role admin (None) all."""
    return None if caller.is_admin else hub.owners.of(caller).ids


def find_corrections(hub: Hub, caller: Caller, query: Mapping[str, str]) -> tuple[list[Correction], int, int, int]:
    """Those that a caller may see, how many there are, which page of them it is and of what size. Raises InputError."""
    check_names(query, FILTERS)
    verdict = query.get("verdict", "")
    if verdict and verdict not in VERDICTS:
        raise InputError(unknown("verdict", verdict[:40], VERDICTS), field="verdict")
    page = whole_number(query.get("page", "1"), "page", PAGES_MOST)
    size = whole_number(query.get("per_page", str(PER_PAGE)), "per_page", PER_PAGE_MOST)
    wanted = Wanted(whose(hub, caller), query.get("demo", ""), verdict)
    return *hub.corrections.store.search(wanted, size, (page - 1) * size), page, size


def count_pages(hub: Hub, caller: Caller) -> tuple[list[tuple[str, str, int]], bool]:
    """Slug, title and number of corrections of each page that a caller sees any of; and whether that is of all."""
    titles = {page.slug: page.title for page in hub.visible}
    owners = whose(hub, caller)
    pages = hub.corrections.store.pages(owners)
    return [(slug, titles.get(slug, slug), count) for slug, count in pages], owners is None


def find_one(hub: Hub, request: Request) -> Correction:
    """The correction of an address, if the caller may see it. Raises NotFoundError."""
    return hub.corrections.store.get(request.path_params["id"], whose(hub, guard.caller(request)))


def send_view(picture: bytes, size: tuple[int, int]) -> Response:
    """A picture on which somebody says what is right; `Picture-Size` is how large it was."""
    headers = {"Cache-Control": "private, max-age=600", "Picture-Size": f"{size[0]}x{size[1]}"}
    return Response(picture, media_type="image/jpeg", headers=headers)


async def send_picture(hub: Hub, request: Request) -> Response:
    """A picture that is kept with a correction, to who may see it. Raises NotFoundError."""

    def find() -> Any:
        return hub.corrections.store.picture(find_one(hub, request).id, request.path_params["name"])

    picture = await to_thread.run_sync(find)
    # Asked for again each time, so that one that was deleted is gone.
    headers = {"Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    return Response(picture.data, media_type=picture.media_type, headers=headers)
