"""How an encoded picture is sent: for ever, by its own tag, as what it is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from hub.results.result import Picture
from hub.web.routes import FOREVER


def send_picture(request: Request, picture: Picture, tag: str) -> Response:
    headers = {"ETag": f'"{tag}"', "Cache-Control": FOREVER, "X-Content-Type-Options": "nosniff"}
    tags = [t.strip().removeprefix("W/") for t in request.headers.get("if-none-match", "").split(",")]
    if f'"{tag}"' in tags or "*" in tags:
        return Response(status_code=304, headers=headers)
    headers["Content-Disposition"] = f'inline; filename="{tag[:8]}{tag[32:]}.{picture.extension}"'
    return Response(picture.data, media_type=picture.media_type, headers=headers)
