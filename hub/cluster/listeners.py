"""Who is told which replicas there are."""

from __future__ import annotations

from collections.abc import Callable

# By application: Serve makes the router itself, and gives it no more than that name.
LISTENERS: dict[str, Callable[[frozenset[str]], None]] = {}
