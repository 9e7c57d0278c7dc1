"""Who may: change what the hub holds in memory (signed in, or at its machine); come from a browser (no other site)."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from hub.settings import Settings
from hub.texts import sentence

HERE = {"localhost", "127.0.0.1", "::1"}
# A proxy or tunnel that passes a stranger's request on from this machine says so in one of these.
PASSED_ON = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
OFF = "It is switched off on this hub (manage=nobody)."


def refusal(settings: Settings, client: str, headers: Mapping[str, str], role: str = "admin") -> str:
    """Why a request may not load, pin or unload models; empty: it may.

    `client` is the address it came from, `role` that of who signed in, where the hub asks for that.
    """
    host = headers.get("host", "")
    origin = headers.get("origin", "")
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") or (origin and _host(origin) != host):
        return "Another website asked for it."  # a visitor's browser would send the sign-in along
    return OFF if settings.manage == "nobody" else stranger(settings, client, headers, role)


def stranger(settings: Settings, client: str, headers: Mapping[str, str], role: str) -> str:
    """Why who asks is not taken for somebody who operates this hub; empty: they are."""
    if settings.asks:  # who got this far has signed in
        return "" if role == "admin" else sentence("It needs the role admin; yours is {role}.", role=role)
    if settings.manage == "everyone":
        return ""
    if settings.manage == "nobody":  # as behind a proxy that says of nobody that they are not at this machine
        return OFF
    # A tunnel's requests come from this machine too. The host is looked at because a strange name may point here.
    local = client in HERE and urlsplit(f"//{headers.get('host', '')}").hostname in HERE
    if settings.share or not local or any(name in headers for name in PASSED_ON):
        return "Only a browser or command on the hub's own machine may, or who signs in where --auth is set."
    return ""


def crossing(settings: Settings, headers: Mapping[str, str]) -> str:
    """Why a request that changes something is refused as another website's; empty: it is none.

    The visitor's browser would send the sign-in along. Programs send none of these headers.
    """
    origin, site = headers.get("origin", ""), headers.get("sec-fetch-site", "")
    if origin and {origin, "*"} & {*settings.origins()}:
        return ""
    # No website can make a browser send the second of these.
    hosts = {headers.get("host", ""), headers.get("x-forwarded-host", ""), urlsplit(settings.public_url).netloc} - {""}
    # A browser knows best, also where a proxy changes the host; over plain http most do not say it.
    if site in ("none", "same-origin") if site else not origin or _host(origin) in hosts:
        return ""
    return sentence(
        "Another website{who} asked for it. This hub allows some with --allow-origins; its own name: --public-url.",
        who=f" ({origin[:100]})" if origin else "",
    )


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc
    except ValueError:  # as of http://[
        return ""
