"""Pictures of pages, made as small as their place: tiles, covers, and the card that a chat shows for an address.

They are made when first asked for, from what the pages declare only, in three sizes only, and kept in memory.
"""

from __future__ import annotations

import threading
from pathlib import Path
from urllib.parse import quote

from cachetools import LRUCache
from PIL import ImageOps
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from hub.archive.cards import card
from hub.decoding import budget
from hub.errors import NotFoundError
from hub.hub import Hub
from hub.images import thumbnail
from hub.pages.registry import Page
from hub.texts import current, say
from hub.web import drawers
from hub.web.api.answers import pictures
from hub.web.middleware import guard
from hub.web.parts import html
from hub.web.routes import routes_of

SIDES: dict[str, int] = {"tile": 240, "cover": 400}  # px of the longer side
HOME = "home"  # no demo can be called so
KEPT_BYTES = 32 * 2**20
DAY, FOREVER = "public, max-age=86400", "public, max-age=31536000, immutable"


def routes(hub: Hub) -> list[BaseRoute]:
    """The pictures' routes."""
    made = Pictures(hub)
    table = {
        "/pictures/{slug}/preview.jpg": {"GET": made.preview},
        "/pictures/{slug}/{place}/{name}": {"GET": made.small},
    }
    return routes_of(table, "pictures")


class Pictures:
    """The pictures of one hub's pages."""

    def __init__(self, hub: Hub):
        self.hub = hub
        self._kept: LRUCache[tuple[str, ...], bytes] = LRUCache(KEPT_BYTES, len)
        self._lock = threading.Lock()  # guards `_kept`; never held while a picture is drawn

    async def small(self, request: Request) -> Response:
        """A picture that a page declares, in WebP and as large as its place."""
        slug, place, name = (request.path_params[part] for part in ("slug", "place", "name"))
        page = self.hub.visible.get(slug)
        if place not in SIDES or page.declared is None or name not in pictures(page):
            raise NotFoundError("{title} has no picture {name!r}.", title=page.title, name=name[:80])
        path = page.assets / name
        data = await drawers.draw(guard.caller(request), self._small, path, place, path in page.cards())
        # The address of a page's picture has its mark: another file has another address.
        lasting = request.query_params.get("v") == html.mark_of(path)
        return Response(data, media_type="image/webp", headers={"Cache-Control": FOREVER if lasting else DAY})

    async def preview(self, request: Request) -> Response:
        """The card of a page, or of the hub where the slug is `home`, in the language that is asked for."""
        slug = request.path_params["slug"]
        page = None if slug == HOME else self.hub.visible.get(slug)
        data = await drawers.draw(guard.caller(request), self._preview, page)
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": DAY})

    def _small(self, path: Path, place: str, is_card: bool) -> bytes:
        if is_card:  # as large as a cover already
            return path.read_bytes()
        key = (str(path), html.mark_of(path), place)
        return self._find(key) or self._keep(key, _made_small(path, SIDES[place]))

    def _preview(self, page: Page | None) -> bytes:
        title, text = describe(self.hub, page)
        covers = (one.cover_in(current().language) for one in ([page] if page else self.hub.visible))
        path = next(filter(None, covers), None)
        key = ("preview", title, text, str(path), html.mark_of(path) if path else "")
        return self._find(key) or self._keep(key, card(title, text, path.read_bytes() if path else None).data)

    def _find(self, key: tuple[str, ...]) -> bytes | None:
        with self._lock:
            return self._kept.get(key)

    def _keep(self, key: tuple[str, ...], data: bytes) -> bytes:
        with self._lock:
            if len(data) <= self._kept.maxsize:
                self._kept[key] = data
        return data


def describe(hub: Hub, page: Page | None) -> tuple[str, str]:
    """What a page is called, and what it is for, in the language that is spoken; None: the home page."""
    if page is None:
        return say("Try the models"), html.invitation(len(hub.visible.pages))
    return say(page.title), say(page.declared.summary) if page.declared else say("This demo is not working")


def preview_path(page: Page | None) -> str:
    """Where the card of a page is, from the hub's root."""
    return f"pictures/{quote(page.slug) if page else HOME}/preview.jpg"


def _made_small(path: Path, side: int) -> bytes:
    with budget.opened(path, (2 * side, 2 * side)) as image:
        return thumbnail(ImageOps.exif_transpose(image), side, "tile")
