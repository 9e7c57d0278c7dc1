"""Who may see and who may run which pages: rules in a TOML file, which a running hub reads again when it changes.

    [groups]
    research = ["ann", "ben@example.org"]

    [[rules]]
    pages = ["age_regression", "tag:faces"]
    view = ["@staff"]
    run = ["@research", "role:admin"]

The first rule that names a page holds for it, a page that none names is for everybody who may come in. Who may run it
may see it, and the role `admin` may both with every page. Rules only take from what a role may, they never add to it.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from hub.errors import InputError
from hub.files import read_text
from hub.people.roles import EVERYBODY, GROUP
from hub.people.users import ROLES, Caller, Watched
from hub.suggest import unknown

Right = Literal["view", "run"]
TAG, TOKEN, ROLE = "tag:", "token:", "role:"
WHO = re.compile(
    r"\*|role:(view|run|admin)|token:[A-Za-z0-9]{8}|(hf:)?[A-Za-z0-9][A-Za-z0-9._@+-]{0,127}|@[\w.:/@+ -]{1,128}"
)
PAGE = re.compile(r"\*|[a-z][a-z0-9_]{0,45}|tag:[^\x00-\x1f]{1,60}")
RULES_MOST, NAMES_MOST = 500, 2000  # of the file; names in one list


@dataclass(frozen=True, slots=True)
class Rule:
    """Of some pages: who may see them, and who may run them too."""

    pages: frozenset[str]
    view: frozenset[str]
    run: frozenset[str]


@dataclass(frozen=True)
class Rules:
    """What the file says. `groups`: those of the file itself, by each member's name."""

    rules: tuple[Rule, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def rule_of(self, names: Collection[str]) -> Rule | None:
        """The first rule with one of a page's names, or with all pages."""
        return next((rule for rule in self.rules if EVERYBODY in rule.pages or not rule.pages.isdisjoint(names)), None)

    def bind(self, who: Caller | None) -> bool:
        """Whether any page may be kept from this caller; None is this machine, which may all, as an administrator."""
        return bool(self.rules) and who is not None and not who.is_admin

    def allow(self, who: Caller | None, right: Right, names: Collection[str], is_whole: bool = True) -> bool:
        """Whether a caller may do this with the page of these names. `is_whole`: its tags are known.

        They are not of a page that cannot be read; it may have any.
        """
        if not self.bind(who):
            return True
        assert who is not None
        rule = self.rule_of(names)
        if rule is None:
            return is_whole or not any(name.startswith(TAG) for one in self.rules for name in one.pages)
        those = rule.run if right == "run" else rule.view | rule.run
        return not those.isdisjoint(words_of(who, self.groups))


NO_RULES = Rules()


class Rights:
    """The rules of one hub. `path` None: everybody who may come in may see and run all pages."""

    def __init__(self, path: Path | None = None, known: Callable[[], Collection[str]] | None = None):
        """`known`: all names that pages have, to find slips of the pen. Raises InputError for a file that is wrong."""
        self.path, self._known = path, known
        self._watched: Watched[Rules] | None = None
        if path is not None:
            self._parse(_read(path))
            self._watched = Watched(path, self._parse, _NOBODY)

    @property
    def rules(self) -> Rules:
        """As the file says now. One that is gone leaves the pages to administrators, one with a slip as it was."""
        return NO_RULES if self._watched is None else self._watched.get()

    def _parse(self, text: str) -> Rules:
        rules = parse(text, f"{self.path}")
        known = self._known() if self._known else ()
        for rule in rules.rules if known else ():
            for name in sorted(rule.pages - {EVERYBODY}):
                if name not in known:
                    kind = "tag" if name.startswith(TAG) else "demo"
                    raise InputError("{path}: {reason}", path=self.path, reason=unknown(kind, name, [*known]))
        return rules


# Of a file that was taken away while the hub serves: what it kept from people stays kept from them.
_NOBODY = Rules((Rule(frozenset({EVERYBODY}), frozenset(), frozenset()),))


def words_of(who: Caller, groups: Mapping[str, tuple[str, ...]]) -> set[str]:
    """All by which a rule may name a caller."""
    words = {EVERYBODY}
    if not who.name:
        return words
    name = TOKEN + who.name.removeprefix("token ") if who.name.startswith("token ") else who.name
    if not WHO.fullmatch(name) or name.startswith(("@", ROLE, EVERYBODY)):
        return words  # no account of this hub is called so
    own = (*who.groups, *groups.get(name, ()))
    return words | {name} | {f"@{group}" for group in own} | {ROLE + role for role in ROLES if who.may(role)}


def parse(text: str, source: str) -> Rules:
    """The rules of a file's text. Raises InputError that says where it is wrong."""
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("{path} is not TOML: {reason}", path=source, reason=error) from None
    wrong = data.keys() - {"groups", "rules"}
    if wrong:
        problem = unknown("section", str(min(wrong)), ["groups", "rules"])
        raise InputError("{path}: {reason}", path=source, reason=problem)
    groups, entries = data.get("groups", {}), data.get("rules", [])
    if not isinstance(groups, dict) or not isinstance(entries, list) or len(entries) > RULES_MOST:
        raise InputError(
            "{path} must have a table [groups] of lists of names, and up to {most} tables [[rules]].",
            path=source, most=RULES_MOST,
        )  # fmt: skip
    by_member = dict[str, tuple[str, ...]]()
    for group, members in groups.items():
        if not GROUP.fullmatch(group):
            raise InputError("{path}: {name!r} is no name of a group.", path=source, name=group[:60])
        for member in _words(members, WHO, f"{source}: groups.{group}"):
            by_member[member] = (*by_member.get(member, ()), group)
    if not entries:  # as an editor leaves a file for a moment, which must not open all pages
        raise InputError("{path} has no [[rules]]. To keep no page from anybody, start without --rights.", path=source)
    return Rules(tuple(_rule(entry, f"{source}: rule {n}") for n, entry in enumerate(entries, 1)), by_member)


def _rule(entry: Any, where: str) -> Rule:
    if not isinstance(entry, dict) or not {"pages"} <= entry.keys() <= {"pages", "view", "run"} or len(entry) < 2:
        raise InputError("{where} must have pages, and view or run or both, and nothing else.", where=where)
    pages = _words(entry["pages"], PAGE, f"{where}, pages")
    if not pages:
        raise InputError("{where} names no page.", where=where)
    lists = {right: _words(entry[right], WHO, f"{where}, {right}") for right in ("view", "run") if right in entry}
    # A list that is not given is as the other.
    view, run = lists.get("view", lists.get("run", frozenset())), lists.get("run", lists.get("view", frozenset()))
    return Rule(frozenset(name.lower() if name.startswith(TAG) else name for name in pages), view, run)


def _words(value: Any, pattern: re.Pattern[str], where: str) -> frozenset[str]:
    if not isinstance(value, list) or len(value) > NAMES_MOST or not all(isinstance(one, str) for one in value):
        raise InputError("{where} must be a list of texts, such as {example}.", where=where, example='["*"]')
    for one in value:
        if not pattern.fullmatch(one):
            like = '"age_regression", "tag:faces", "*"' if pattern is PAGE else '"ann", "@team", "role:admin", "*"'
            raise InputError("{where}: {given!r} is none of {like}.", where=where, given=one[:60], like=like)
    return frozenset(value)


def _read(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, ValueError) as error:
        raise InputError("The file of rights {path} cannot be read: {reason}", path=path, reason=error) from None


def tags(words: Iterable[str]) -> tuple[str, ...]:
    """Tags as rules name them."""
    return tuple(f"{TAG}{word.lower()}" for word in words)
