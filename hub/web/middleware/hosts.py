"""Which names this hub answers to: the outermost layer, before every door and method.

A website may point a name of its own at this machine (DNS rebinding). Its page and this hub then have one origin, so
that a visitor's browser lets it do everything: only the name in `Host` tells. An address cannot be pointed elsewhere.
"""

from __future__ import annotations

import os
import re
import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import psutil
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from hub.errors import HostError, HubError
from hub.hub import Hub
from hub.settings import Settings
from hub.web.middleware import addresses
from hub.web.middleware.entrance.refusing import Ways, refuse
from hub.web.problems import MalformedError

HOST = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,255})(?::([0-9]{0,5}))?")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ANY = "*"
# What no website can have: names without a dot and .local ones are looked up in the network that the hub is in.
NEARBY = re.compile(r"[a-z0-9_-]+|[a-z0-9._-]+\.local")


class Names:
    """Refuses what is asked under another's name; `X-Forwarded-Host` does not count, since anybody can send it."""

    def __init__(self, app: ASGIApp, hub: Hub):
        self.app, self.hub = app, hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            try:
                check(self.hub.settings, scope)  # a public link may be added while the hub runs
            except HubError as error:
                await refuse(error, Ways(), scope, receive, send)
                return
        await self.app(scope, receive, send)


def check(settings: Settings, scope: Scope) -> None:
    """Raises HostError for a name that is none of this hub's, MalformedError for what is no name or path at all."""
    # A whole address, as a proxy is asked, or *; or what no address of the hub has, and logs and libraries trip over.
    if not str(scope["path"]).startswith("/") or CONTROL.search(scope["path"]):
        raise MalformedError("Ask for a path such as /healthz, not for {given}.", given=repr(scope["path"][:100]))
    hosts = Headers(scope=scope).getlist("host")
    if not hosts and scope.get("http_version") == "1.0":  # as some health checks ask; a browser never does
        return
    if len(hosts) != 1:
        raise MalformedError("A request needs one Host header, got {count}.", count=len(hosts))
    name = _name(hosts[0])
    if _is_known(name, settings, scope):
        return
    raise HostError(
        "This hub does not answer to {name}. If people should reach it under that name, start it with "
        "{flag} (behind a proxy: --public-url with its address); on its own machine it is localhost.",
        name=name,
        flag=f"--allow-host {name}",
    )


def _name(host: str) -> str:
    """A Host header without its port, as names are compared. Raises MalformedError."""
    match = HOST.fullmatch(host)
    if match is None or int(match[2] or 0) > 65_535 or (host.startswith("[") and _address(match[1]) is None):
        raise MalformedError("Host must be a name or an address, with a port or without, got {given}.",
                             given=repr(host[:100]))  # fmt: skip
    return match[1].lower().removesuffix(".")


def _is_known(name: str, settings: Settings, scope: Scope) -> bool:
    allowed = {one.strip().lower() for one in settings.allow_host.split(",")} - {""}
    public = urlsplit(settings.public_url).hostname
    if ANY in allowed or name == public or name in {_name(one) for one in allowed}:
        return True
    if "SPACE_ID" in os.environ:  # its proxy looks at names, and no other way leads to a Space
        return True
    if addresses.is_loopback(name) or name in (settings.host.lower(), os.environ.get("SPACE_HOST", "").lower()):
        return True
    address = _address(name)
    if not addresses.is_loopback(settings.host):  # it is open to the network, in which it has addresses and names
        return address is not None or NEARBY.fullmatch(name) is not None or name == socket.gethostname().lower()
    return address is not None and address in _own_addresses(scope)


def _address(name: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(name.strip("[]"))
    except ValueError:
        return None


def _own_addresses(scope: Scope) -> set[IPv4Address | IPv6Address | None]:
    """Of this machine. One that is not specified (0.0.0.0) is none."""
    reached = str((scope.get("server") or [""])[0])
    interfaces = [one.address.partition("%")[0] for several in psutil.net_if_addrs().values() for one in several]
    return {address for text in (reached, *interfaces) if (address := _address(text)) and not address.is_unspecified}
