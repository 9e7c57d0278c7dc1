"""Which language a visitor reads: asked for with `?lang=zh`, kept in a cookie, else what the browser prefers."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hub import texts
from hub.hub import Hub
from hub.texts import Catalogue
from hub.web.middleware import closed_frames
from hub.web.parts.pieces import piece

PARAMETER, COOKIE = "lang", "hub_lang"
YEAR_S = 365 * 86_400
SCOPE = "hub.texts"  # in the scope: the catalogue of who asks
ENGLISH_PAGE = b'lang="en"'
GRADIO, STREAMLIT = b"window.gradio_config", b"<title>Streamlit</title>"  # what tells their pages from others
HEAD = b"<head>"


def choose_language(parameter: str, cookie: str, accept: str) -> str:
    """The language for an address's parameter, a cookie and an Accept-Language header, each possibly empty."""
    return texts.language_of(parameter) or texts.language_of(cookie) or texts.negotiated(accept)


class Languages:
    """Sets the language that a request's pages are drawn in. Outside of all that draws, the sign-in page too."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        parameter = query.get(PARAMETER, [""])[-1]
        cookie = cookie_parser(headers.get("cookie", "")).get(COOKIE, "")
        catalogue = self.hub.texts[choose_language(parameter, cookie, headers.get("accept-language", ""))]
        keep = (
            catalogue.language
            if texts.language_of(parameter) and texts.language_of(cookie) != catalogue.language
            else ""
        )
        scope = {**scope, SCOPE: catalogue}
        # What `mark_page` changes must not be packed. A page in a tab of its own needs that for its language alone.
        alone = headers.get("sec-fetch-dest") == "document"
        if not (alone and catalogue.language == texts.ENGLISH) and "text/html" in headers.get("accept", ""):
            scope["headers"] = [(name, value) for name, value in scope["headers"] if name != b"accept-encoding"]
        with texts.speaking(catalogue):
            await self.app(scope, receive, _mark_pages(send, catalogue, keep, scope))


def catalogue_of(scope: Mapping[str, object]) -> Catalogue | None:
    """What `Languages` found for a request; None where the request did not come through it."""
    catalogue = scope.get(SCOPE)
    return catalogue if isinstance(catalogue, Catalogue) else None


def _mark_pages(send: Send, catalogue: Catalogue, keep: str, scope: Scope) -> Send:
    """Tells caches and the browser the language of a page, and keeps the one that was asked for."""
    start: Message | None = None

    async def send_marked(message: Message) -> None:
        nonlocal start
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            if headers.get("content-type", "").startswith("text/html"):
                headers["Content-Language"] = catalogue.language
                headers.add_vary_header("Accept-Language, Cookie")
                if keep:
                    secure = "; Secure" if scope.get("scheme") == "https" else ""
                    cookie = f"{COOKIE}={keep}; Path=/; Max-Age={YEAR_S}; SameSite=Lax{secure}"
                    headers.append("Set-Cookie", cookie)
                start = message  # goes out with the first part of the body, which may become longer
                return
        elif start is not None:
            before = message.get("body", b"")
            body = mark_page(before, catalogue.language)
            headers = MutableHeaders(scope=start)
            if len(body) != len(before) and "content-length" in headers:
                headers["content-length"] = str(int(headers["content-length"]) + len(body) - len(before))
            begun, start = start, None
            await send(begun)
            message = {**message, "body": body}
        await send(message)

    return send_marked


def mark_page(body: bytes, language: str) -> bytes:
    """The beginning of a page of Gradio's or Streamlit's with what it lacks in its head, and its true language."""
    if language != texts.ENGLISH:
        begin = body.find(b"<html")
        place = body.find(ENGLISH_PAGE, begin, body.find(b">", begin)) if begin >= 0 else -1
        if place >= 0:
            body = body[:place] + b'lang="' + language.encode() + b'"' + body[place + len(ENGLISH_PAGE) :]
    if GRADIO in body:
        more = piece("heads", "tell_language") + closed_frames.head()
    elif STREAMLIT in body:
        more = closed_frames.head()
    else:
        return body
    before, head, after = body.partition(HEAD)
    return before + head + more.encode() + after if head else body
