"""The page `/gallery`, drawn by its own small script from `/api/v1/gallery`."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub import texts
from hub.hub import Hub
from hub.web.api.gallery import DOWNLOAD_MOST
from hub.web.middleware import guard
from hub.web.routes import ASKING, file, routes_of
from hub.web.site.templates import draw_page


def routes(hub: Hub) -> list[BaseRoute]:
    """The page, its style and its script."""
    pages = GalleryPages(hub)
    return routes_of({"/gallery": {"GET": pages.page}, "/gallery/{name}": {"GET": pages.static}}, "gallery")


class GalleryPages:
    """The page and its files."""

    def __init__(self, hub: Hub):
        self.hub = hub

    async def page(self, request: Request) -> Response:
        text = draw_page(
            "gallery.html", home="./", here="r/", menu=self.hub.visible, place="gallery",
            signed_in=guard.caller(request).name, most=DOWNLOAD_MOST,
            singles=self.hub.settings.similar, words=texts.section(texts.current().language, "gallery"),
        )  # fmt: skip
        return HTMLResponse(text, headers=ASKING)

    async def static(self, request: Request) -> Response:
        return file(request.path_params["name"], "gallery")
