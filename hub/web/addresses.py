"""Absolute addresses of this hub, as whoever gets a link can open them."""

from __future__ import annotations

from starlette.requests import Request

from hub.settings import Settings


def base(settings: Settings, request: Request) -> str:
    """Where the hub is, without a slash at the end: as the setting `public_url` says, else as it was asked."""
    return (settings.public_url or str(request.base_url)).rstrip("/")


def link(settings: Settings, request: Request, id: str) -> str:
    """The page of a shared result."""
    return f"{base(settings, request)}/r/{id}"
