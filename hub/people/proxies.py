"""Who signed in at a proxy in front of the hub (oauth2-proxy, Authelia, Cloudflare Access): it says so in a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hub.errors import InputError, RoleError
from hub.people.roles import NAME, Account, account_of, groups_of
from hub.settings import Settings


class Proxies:
    """The proxies that are believed, and the roles of those whom they let through."""

    def __init__(self, settings: Settings):
        """Raises InputError where the header would be believed from everybody, or nobody would have a role."""
        self.header = settings.auth_header.lower()
        # As oauth2-proxy (X-Forwarded-User, X-Forwarded-Groups) and Authelia (Remote-User, Remote-Groups) name them.
        self.headers = (self.header, re.sub("(user|email)$", "groups", self.header))
        self._networks = [_network(text.strip()) for text in settings.auth_proxies.split(",") if text.strip()]
        self._roles = settings.proxy_roles()
        if self.header and not (self._networks and self._roles):
            raise InputError(
                "--auth-header needs --auth-proxies, the addresses of the proxies that are believed, such as "
                "127.0.0.1,10.0.0.0/8; and --auth-roles, who may what, such as ann@example.org:admin,@research:run."
            )
        if self._networks and not self.header:
            raise InputError("--auth-proxies does nothing without --auth-header, such as X-Forwarded-User.")

    def account(self, peer: str, users: Sequence[str], groups: Sequence[str]) -> Account | None:
        """Who signed in there, by the values of both headers; None: nobody, or no such proxy.

        `peer` is the address at the other end of the connection. Raises RoleError for who has no role here.
        """
        name = users[0].strip() if users else ""
        if not self.header or not any(users) or not self._is_believed(peer):
            return None
        if len(users) > 1 or not NAME.fullmatch(name):
            raise RoleError("What the proxy says of who signed in is not one name.")
        return account_of(name, groups_of(group for value in groups for group in value.split(",")), self._roles)

    def _is_believed(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)  # ::ffff:10.0.0.1, as a socket for both kinds has it
        return any((mapped or address) in network for network in self._networks)


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise InputError(
            "--auth-proxies must be addresses or networks such as 127.0.0.1,10.0.0.0/8, got {text!r}", text=text[:100]
        ) from None
