"""Which pages somebody sees, and whether they may run one: the rules of `--rights` over the registry.

The one place where a page is looked up for somebody: what is kept from them is not there for them, at no door.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cachetools import LRUCache

from hub.errors import RightsError
from hub.pages.registry import Page, Registry
from hub.people.rights import Rights, Rules
from hub.people.users import Caller
from hub.texts import sentence

KEPT = 1024  # callers whose pages are remembered


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was found for a caller, and of what: it holds while both are what they were."""

    rules: Rules
    pages: Mapping[str, Page]
    found: Registry


class Seen:
    """The registry as each caller sees it."""

    def __init__(
        self, registry: Registry, rights: Rights | None = None,
        refused: Callable[[Caller, Page], None] = lambda who, page: None,
    ):  # fmt: skip
        """`refused` hears of who wanted to run a page that is not for them to run."""
        self._registry, self.rights, self._refused = registry, rights or Rights(), refused
        self._lock = threading.Lock()  # guards _found; taken alone
        self._found: LRUCache[Caller, _Kept] = LRUCache(KEPT)

    def by(self, who: Caller | None) -> Registry:
        """The pages that a caller may see; None, this machine, and administrators see all."""
        rules, pages = self.rights.rules, self._registry.pages
        if who is None or not rules.bind(who):
            return self._registry
        key = Caller(who.name, who.role, groups=who.groups)
        with self._lock:
            kept = self._found.get(key)
        if kept is None or kept.rules is not rules or kept.pages is not pages:
            those = {slug: page for slug, page in pages.items() if _allow(rules, key, page, "view")}
            kept = _Kept(rules, pages, Registry(those) if len(those) < len(pages) else self._registry)
            with self._lock:
                self._found[key] = kept
        return kept.found

    def kept_from(self, who: Caller | None) -> tuple[str, ...]:
        """The slugs of the pages that a caller does not see."""
        there = self.by(who)
        return () if there is self._registry else tuple(self._registry.pages.keys() - there.pages.keys())

    def may_run(self, who: Caller | None, page: Page) -> bool:
        return _allow(self.rights.rules, who, page, "run")

    def to_run(self, slug: str, who: Caller | None) -> Page:
        """The page of `slug`, for who wants to run it. Raises NotFoundError where they do not see it, RightsError."""
        page = self.by(who).get(slug)
        if who is not None and not self.may_run(who, page):
            self._refused(who, page)
            raise RightsError(
                "You may look at {title}, but not run it. Ask whoever runs this hub.", title=sentence(page.title)
            )
        return page


def _allow(rules: Rules, who: Caller | None, page: Page, right: str) -> bool:
    return rules.allow(who, "run" if right == "run" else "view", page.names, page.declared is not None)
