"""Who signed in at a proxy in front of the hub (oauth2-proxy, Authelia, Cloudflare Access): it says so in a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from hub.errors import InputError, RoleError
from hub.people.users import ROLES
from hub.settings import Settings

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")  # of a user: also an e-mail address
GROUP = re.compile(r"[\w.:/@+ -]{1,128}")
MOST_GROUPS = 200


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

    def account(self, peer: str, users: Sequence[str], groups: Sequence[str]) -> tuple[str, str] | None:
        """Name and role of who signed in there, by the values of both headers; None: nobody, or no such proxy.

        `peer` is the address at the other end of the connection. Raises RoleError for who has no role here.
        """
        name = users[0].strip() if users else ""
        if not self.header or not any(users) or not self._is_believed(peer):
            return None
        if len(users) > 1 or not NAME.fullmatch(name):
            raise RoleError("What the proxy says of who signed in is not one name.")
        of_groups = [group.strip() for value in groups for group in value.split(",")][:MOST_GROUPS]
        keys = [name, *(f"@{group}" for group in of_groups if GROUP.fullmatch(group)), "*"]
        roles = [self._roles[key] for key in keys if key in self._roles]
        if not roles:
            raise RoleError("{user} is not among those who may use this hub. Ask whoever runs it.", user=name)
        return name, max(roles, key=ROLES.index)

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
