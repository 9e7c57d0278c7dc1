"""The pages of shared results, `/r/<id>`: drawn from what the link keeps, with no model, no demo and no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute

from hub.archive.corrections.corrections import Said
from hub.archive.links import Link
from hub.errors import ForbiddenError, HubError, NotFoundError, TooLargeError
from hub.files import parse_json
from hub.hub import Hub
from hub.texts import say
from hub.web.middleware import addresses, guard
from hub.web.parts import corrections
from hub.web.problems import MalformedError
from hub.web.routes import FILES, HEADERS, Endpoint, routes_of
from hub.web.site.templates import draw_page

STYLE = Path(__file__).parents[1] / "style.css"
EDITORS = ("places.js", "corrections.js")  # with which is said what is right
SCRIPTS = ("page.js", "boxes.js", *EDITORS, "corrected.js")
FORM_BYTES, FORM_FIELDS, CORRECTION_BYTES = 16 * 1024, 20, 128 * 1024
DRAWN = ("page", "headline", "inputs", "parameters", "outputs", "weights", "receipt", "remarks", "result")
TITLES = {404: "Nothing is shared here", 410: "This link has ended", 403: "That is not yours to change"}


def routes(hub: Hub) -> list[BaseRoute]:
    """The routes; they answer every path under /r with a page, unknown ones too."""
    endpoints = LinkPages(hub)
    table: dict[str, dict[str, Endpoint]] = {
        "/r/page.css": {"GET": endpoints.style},
        "/r/page.js": {"GET": endpoints.script},
        "/r/corrections.js": {"GET": endpoints.editors},
        "/r/{id}": {"GET": endpoints.page},
        "/r/{id}/correction": {"POST": endpoints.correct},
        "/r/{id}/feedback": {"POST": endpoints.feedback},
        "/r/{id}/revoke": {"POST": endpoints.revoke},
        "/r/{id}/{name}": {"GET": endpoints.file},
        "/r": {"GET": endpoints.nothing},
        "/r/{path:path}": {"GET": endpoints.nothing},
    }
    return routes_of(table, "link", page=_problem)


class LinkPages:
    """The pages over one hub."""

    def __init__(self, hub: Hub):
        self.hub, self.links = hub, hub.sharing.links

    async def page(self, request: Request) -> Response:
        return HTMLResponse(await to_thread.run_sync(self._page, request), headers=HEADERS)

    def _page(self, request: Request) -> str:
        id = request.path_params["id"]
        link, document = self.links.read(id)
        link = self.hub.corrections.counted([link])[0]
        mine = self._is_mine(request, id)
        return draw(
            link,
            document,
            url=addresses.link(self.hub.settings, request, id),
            again_url=self._again_url(link),
            mine=mine,
            signed_in=guard.caller(request).name,
            feedback=self._words(id) if mine else (),
            form=self._form(request, id),
            thanks="thanks" in request.query_params,
        )

    def _again_url(self, link: Link) -> str:
        """Where it can be tried; empty when its demo is not here any more."""
        page = self.hub.visible.pages.get(link.page)
        return f"../{link.page}?link={link.id}" if page and page.declared else ""

    def _form(self, request: Request, id: str) -> str:
        if not self.hub.corrections.enabled:
            return ""
        subject = self.hub.corrections.shared(id, self._owns(request, id))
        picture = f"{id}/{next(iter(subject.digests.values()))}" if subject.digests else ""
        return corrections.draw_form(subject, f"{id}/correction", picture)

    def _words(self, id: str) -> list[corrections.Words]:
        return corrections.words_of(self.links.feedback([id]), self.hub.corrections.store.of_links([id]))

    def _is_mine(self, request: Request, id: str) -> bool:
        return guard.caller(request).is_admin or self._owns(request, id)

    def _owns(self, request: Request, id: str) -> bool:
        owners = self.hub.owners.of(guard.caller(request)).ids
        return bool(owners) and self.links.owns(id, owners=owners)

    async def file(self, request: Request) -> Response:
        id, name = request.path_params["id"], request.path_params["name"]
        picture = await to_thread.run_sync(self.links.file, id, name)
        tag = f'"{id}-{name}"'
        # Asked for again each time, so that a link that was taken back is gone; but not sent again.
        headers = {**HEADERS, "Cache-Control": "private, no-cache", "ETag": tag}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(picture.data, media_type=picture.media_type, headers=headers)

    async def correct(self, request: Request) -> Response:
        form, id = await read_form(request, CORRECTION_BYTES), request.path_params["id"]
        who = self.hub.owners.of(guard.caller(request))
        said = said_in(form)

        def keep() -> None:
            self.hub.corrections.correct_shared(id, said, who, self._owns(request, id))

        await to_thread.run_sync(keep)
        return RedirectResponse(f"../{id}?thanks=1#feedback", 303, headers=HEADERS)

    async def feedback(self, request: Request) -> Response:
        """As forms of older pages send it."""
        form = await read_form(request)
        id = request.path_params["id"]
        who = self.hub.owners.of(guard.caller(request))
        await to_thread.run_sync(
            partial(self.hub.corrections.say, id, form.get("thumb", ""), form.get("text", ""), who)
        )
        return RedirectResponse(f"../{id}?thanks=1#feedback", 303, headers=HEADERS)

    async def revoke(self, request: Request) -> Response:
        await read_form(request)
        id = request.path_params["id"]
        if not await to_thread.run_sync(self._is_mine, request, id):
            raise ForbiddenError("Only the browser that made this link can take it back here.")
        await to_thread.run_sync(self.links.revoke, id)
        return RedirectResponse(f"../{id}", 303, headers=HEADERS)

    async def style(self, request: Request) -> Response:
        text = STYLE.read_text(encoding="utf-8") + (FILES / "page.css").read_text(encoding="utf-8")
        return Response(text, media_type="text/css", headers={"Cache-Control": "no-cache"})

    async def script(self, request: Request) -> Response:
        return _join_scripts(SCRIPTS)

    async def editors(self, request: Request) -> Response:
        return _join_scripts(EDITORS)

    async def nothing(self, request: Request) -> Response:
        path = request.path_params.get("path", "")
        if path.endswith("/") and "/" not in path[:-1] and path[:-1].isalnum():
            return RedirectResponse(f"../{path[:-1]}", 308, headers=HEADERS)
        raise NotFoundError("There is no such link. Check that the whole address was copied.")


def _join_scripts(names: Sequence[str]) -> Response:
    text = "".join((FILES / name).read_text(encoding="utf-8") for name in names)
    return Response(text, media_type="text/javascript", headers={"Cache-Control": "no-cache"})


async def read_form(request: Request, most_bytes: int = FORM_BYTES) -> dict[str, str]:
    """A small form. Raises ForbiddenError when another site sent it, TooLargeError."""
    if request.headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
        raise ForbiddenError("This form can only be sent from the page itself.")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most_bytes:
            raise TooLargeError("The form has more than the {most} KB that are read.", most=most_bytes // 1024)
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError:
        raise MalformedError("The form has more than {most} fields.", most=FORM_FIELDS) from None
    return {name: values[-1] for name, values in fields.items()}


def said_in(form: Mapping[str, str]) -> Said:
    """What is said of an answer; what is right, a page's script has put into its form. Raises MalformedError."""
    try:
        correction = parse_json(form["correction"]) if form.get("correction") else None
    except ValueError:
        raise MalformedError("The form's correction cannot be read. Load the page again.") from None
    return Said(form.get("verdict", ""), correction, form.get("note", ""), form.get("keep") == "on")


def _problem(error: HubError, request: Request) -> HTMLResponse:
    up = max(1, request.scope["path"].strip("/").count("/") + request.scope["path"].endswith("/")) * "../"
    title = say(TITLES.get(error.status, error.title))
    home, here = (up, f"{up}r/") if request.scope["path"] != "/r" else ("./", "r/")
    text = draw_page("problem.html", home=home, here=here, title=title, message=say(error.message))
    return HTMLResponse(text, error.status, headers=HEADERS)


# --- drawing --------------------------------------------------------------------------------------


def draw(link: Link, document: Mapping[str, Any], **more: Any) -> str:
    """A link's page from its document, of this or any earlier format; everything in it is escaped."""
    return draw_page(
        "permalink.html", home="../", here="", link=link, id=link.id, own=False, note=link.note,
        **drawn_parts(document), **{"form": "", **more},
    )  # fmt: skip


def drawn_parts(document: Mapping[str, Any]) -> dict[str, Any]:
    """What a page draws of a document; what an earlier format had not is empty."""
    return {**dict.fromkeys(DRAWN, ()), **{name: document[name] for name in DRAWN if name in document}}
