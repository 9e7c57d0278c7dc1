"""What a browser needs to install the hub as an app: its name, its icons and its colours."""

from __future__ import annotations

import io
from functools import cache

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from hub.archive.cards import mark
from hub.errors import NotFoundError
from hub.texts import current
from hub.web.routes import routes_of

SIDES = {f"icon-{side}.png": side for side in (192, 512)}
DAY = {"Cache-Control": "public, max-age=86400"}
PAPER, TEAL = "#f6f7f9", "#0f766e"


def routes() -> list[BaseRoute]:
    """The manifest and its icons."""
    return routes_of({"/app.webmanifest": {"GET": manifest}, "/app/{name}": {"GET": icon}}, "manifest")


async def manifest(request: Request) -> Response:
    """Addresses in it are relative to its own."""
    body = {
        "name": "Demo Hub", "short_name": "Demo Hub", "lang": current().language, "start_url": "./", "scope": "./",
        "display": "standalone", "background_color": PAPER, "theme_color": TEAL,
        "icons": [
            {"src": f"app/{name}", "sizes": f"{side}x{side}", "type": "image/png"} for name, side in SIDES.items()
        ],
    }  # fmt: skip
    return JSONResponse(body, media_type="application/manifest+json", headers=DAY)


async def icon(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in SIDES:
        raise NotFoundError("There is no icon {name!r}.", name=name[:80])
    return Response(await to_thread.run_sync(_drawn, SIDES[name]), media_type="image/png", headers=DAY)


@cache
def _drawn(side: int) -> bytes:
    file = io.BytesIO()
    mark(side).save(file, "PNG", optimize=True)  # an eighth of what is written in a hurry, and every first visit has it
    return file.getvalue()
