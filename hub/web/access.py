"""Who may change what the hub holds in memory: whoever signed in, or sits at its machine."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from hub.settings import Settings

HERE = {"localhost", "127.0.0.1", "::1"}
# A proxy or tunnel that passes a stranger's request on from this machine says so in one of these.
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")


def refusal(settings: Settings, client: str, headers: Mapping[str, str]) -> str:
    """Why a request may not load, pin or unload models; empty: it may. `client` is the address it came from."""
    host = headers.get("host", "")
    origin = headers.get("origin", "")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (origin and _host(origin) != host):
        return "Another website asked for it."  # a visitor's browser would send the sign-in along
    if settings.manage == "nobody":
        return "It is switched off on this hub (manage=nobody)."
    if settings.manage == "everyone" or settings.auth:  # who got this far has signed in
        return ""
    # A tunnel's requests come from this machine too. `host` is looked at because a strange name may point here.
    local = client in HERE and urlsplit(f"//{host}").hostname in HERE
    if settings.share or not local or any(name in headers for name in PASSED_ON):
        return "Only a browser or command on the hub's own machine may, or who signs in where --auth is set."
    return ""


def _host(origin: str) -> str:
    return urlsplit(origin).netloc
