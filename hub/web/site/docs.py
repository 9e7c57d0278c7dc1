"""The page `/docs`: the OpenAPI document to read and to try, drawn by Swagger UI from the files of a package."""

from __future__ import annotations

import gzip
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from hub.hub import Hub
from hub.web.middleware import guard
from hub.web.routes import ASKING, FOREVER, TYPES, file, routes_of
from hub.web.site.templates import draw_page

PACKAGE = "fastapi_swagger"  # brings the files of Swagger UI, and nothing else that is used here
SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")


def routes(hub: Hub) -> list[BaseRoute]:
    """The page, its style and its scripts."""
    pages = DocsPages(hub)
    return routes_of({"/docs": {"GET": pages.page}, "/docs/{name}": {"GET": pages.static}}, "docs")


class DocsPages:
    """The page and its files."""

    def __init__(self, hub: Hub):
        self.hub = hub

    async def page(self, request: Request) -> Response:
        text = draw_page(
            "docs.html", home="./", here="r/", menu=self.hub.visible, place="docs",
            signed_in=guard.caller(request).name, asks=self.hub.settings.asks, version=version("fastapi-swagger"),
        )  # fmt: skip
        return HTMLResponse(text, headers=ASKING)

    async def static(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in SWAGGER:
            return file(name, "docs")
        headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}  # its address has the version
        content = await to_thread.run_sync(_packed, name)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
        else:
            content = await to_thread.run_sync(gzip.decompress, content)
        return Response(content, media_type=TYPES[Path(name).suffix], headers=headers)


@cache
def _packed(name: str) -> bytes:
    """A file of Swagger UI, compressed once: it is large, and the same for everybody."""
    return gzip.compress(files(PACKAGE).joinpath("resources", name).read_bytes(), mtime=0)
