"""Links over REST: make one of a result, look at it, end it, say something about it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive.links import Feedback, Link
from hub.errors import ForbiddenError, InputError
from hub.hub import Hub
from hub.people.owners import Owner
from hub.web import drawers
from hub.web.api.bodies import read_wishes
from hub.web.api.schemas.links import FeedbackAnswer, LinkAnswer, LinkMadeAnswer, LinkShownAnswer, SharedRun
from hub.web.middleware import addresses, guard
from hub.web.routes import API, FRESH, json_answer, routes_of

SECRET_HEADER = "x-link-secret"  # not Authorization: a hub with a password needs that for itself


def routes(hub: Hub) -> list[BaseRoute]:
    """To be put before those of `demos.routes`, which answer everything under /api."""
    endpoints = LinkRoutes(hub)
    table = {
        f"{API}/results/{{id}}/links": {"POST": endpoints.make},
        f"{API}/links": {"GET": endpoints.mine},
        f"{API}/links/{{id}}": {"GET": endpoints.show, "DELETE": endpoints.revoke},
        f"{API}/links/{{id}}/feedback": {"POST": endpoints.say},
    }
    return routes_of(table, "links")


class LinkRoutes:
    """The endpoints over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.links = hub, hub.sharing.links

    async def make(self, request: Request) -> Response:
        body = await read_wishes(request, ("note", "expires_in_days", "leave_out"))
        leave_out = body.get("leave_out") or []
        if not isinstance(leave_out, list) or not all(isinstance(name, str) for name in leave_out):
            raise InputError("leave_out must be a list of names of inputs.", field="leave_out")
        share = partial(
            self.hub.sharing.share,
            request.path_params["id"],
            who=self._who(request),
            note=body.get("note") or "",
            days=body.get("expires_in_days"),
            leave_out=leave_out,
        )
        link, secret = await drawers.draw(guard.caller(request), share)
        answer: LinkMadeAnswer = {**self._link(link, request), "secret": secret}
        return json_answer(answer, 201, {**FRESH, "Location": answer["url"]})

    async def mine(self, request: Request) -> Response:
        """Those of the browser session that asks; none without one. An administrator gets all."""
        owners = None if guard.caller(request).is_admin else self._who(request).ids
        own = await to_thread.run_sync(self._all, owners) if owners != () else []
        return json_answer([self._link(link, request) for link in own])

    def _all(self, owners: tuple[str, ...] | None) -> list[Link]:
        return self.hub.corrections.counted(self.links.all(owners))

    async def show(self, request: Request) -> Response:
        id = request.path_params["id"]
        link, document = await to_thread.run_sync(self._read, id)
        url = addresses.link(self.hub.settings, request, id)
        body: LinkShownAnswer = {**self._link(link, request), **with_urls(document, url)}
        if await self._is_owner(request, id):
            body["feedback"] = [
                feedback_to_json(entry) for entry in await to_thread.run_sync(self.hub.corrections.feedback, [id])
            ]
        return json_answer(body)

    def _read(self, id: str) -> tuple[Link, dict[str, Any]]:
        link, document = self.links.read(id)
        return self.hub.corrections.counted([link])[0], document

    async def revoke(self, request: Request) -> Response:
        id = request.path_params["id"]
        if not await self._is_owner(request, id):
            raise ForbiddenError(
                "Only its owner can end a link: send its secret as X-Link-Secret, or the cookie hub_session that made "
                "it. On the hub's machine: python -m hub links revoke."
            )
        await to_thread.run_sync(self.links.revoke, id)
        return Response(status_code=204, headers=FRESH)

    async def say(self, request: Request) -> Response:
        body = await read_wishes(request, ("thumb", "text"))
        call = partial(
            self.hub.corrections.say, request.path_params["id"], body.get("thumb"), body.get("text"), self._who(request)
        )
        return json_answer(feedback_to_json(await to_thread.run_sync(call)), 201)

    def _who(self, request: Request) -> Owner:
        return self.hub.owners.of(guard.caller(request))

    async def _is_owner(self, request: Request, id: str) -> bool:
        """The owner, or an administrator, who may do the same."""
        if guard.caller(request).is_admin:
            return True
        owners, secret = self._who(request).ids, request.headers.get(SECRET_HEADER, "")
        return await to_thread.run_sync(partial(self.links.owns, id, owners=owners, secret=secret))

    def _link(self, link: Link, request: Request) -> LinkAnswer:
        return link_to_json(link, addresses.link(self.hub.settings, request, link.id), self.links.clock())


def link_to_json(link: Link, url: str, now: float) -> LinkAnswer:
    """A link as JSON data, without what it shows."""
    return {
        "id": link.id,
        "url": url,
        "demo": link.page,
        "state": link.state(now),
        "headline": link.headline,
        "note": link.note,
        "created_at": iso(link.created),
        "expires_at": None if link.expires is None else iso(link.expires),
        "size_bytes": link.size_bytes,
        "thumbs_up": link.up,
        "thumbs_down": link.down,
        "comments": link.comments,
    }


def feedback_to_json(entry: Feedback) -> FeedbackAnswer:
    """One viewer's feedback as JSON data."""
    return {"link": entry.link, "created_at": iso(entry.created), "thumb": entry.thumb, "text": entry.text}


def with_urls(document: Mapping[str, Any], url: str) -> SharedRun:
    """What a link shows, with addresses in the place of file names."""

    def replace_files(part: Any) -> Any:
        if isinstance(part, dict):
            return {k: f"{url}/{v}" if k == "file" and v else replace_files(v) for k, v in part.items()}
        return [replace_files(one) for one in part] if isinstance(part, list) else part

    return {
        "inputs": replace_files(document["inputs"]),
        "parameters": replace_files(document["parameters"]),
        "weights": replace_files(document["weights"]),
        "receipt": {"remarks": [], **replace_files(document["receipt"])},  # documents of old have none
        # An output's own value is the demo's: a key "file" in it is no file of ours.
        "outputs": [
            {**replace_files({**o, "value": None}), **({"value": o["value"]} if "value" in o else {})}
            for o in document["outputs"]
        ],
    }


def iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="seconds")
