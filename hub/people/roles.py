"""Which role who was signed in elsewhere has here: by name, by group, or as everybody (`--auth-roles`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from hub.errors import RoleError
from hub.people.users import ROLES

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}")  # of a user: also an e-mail address
GROUP = re.compile(r"[\w.:/@+ -]{1,128}")
MOST_GROUPS = 200
EVERYBODY = "*"


@dataclass(frozen=True, slots=True)
class Account:
    """Who was signed in elsewhere, as this hub takes them."""

    name: str
    role: str
    groups: tuple[str, ...] = ()


def groups_of(texts: Iterable[str]) -> tuple[str, ...]:
    """Those that are names of groups; of very many the first."""
    stripped = (text.strip() for text in texts)
    return tuple(dict.fromkeys([text for text in stripped if GROUP.fullmatch(text)][:MOST_GROUPS]))


def account_of(name: str, groups: tuple[str, ...], roles: Mapping[str, str]) -> Account:
    """With the highest of the roles that the name, the groups and everybody have. Raises RoleError for none."""
    keys = [name, *(f"@{group}" for group in groups), EVERYBODY]
    mine = [roles[key] for key in keys if key in roles]
    if not mine:
        raise RoleError("{user} is not among those who may use this hub. Ask whoever runs it.", user=name)
    return Account(name, max(mine, key=ROLES.index), groups)
