"""Calls a page's functions, with what of the weights they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any

NO_CONFIG: Mapping[str, Any] = MappingProxyType({})


@lru_cache(maxsize=1024)
def wants_config(function: Callable[..., object]) -> bool:
    """Whether a demo's function names a parameter `config`."""
    return "config" in inspect.signature(function).parameters


def call(function: Callable[..., Any], config: Mapping[str, Any] | None, *arguments: Any, **keywords: Any) -> Any:
    """Calls a demo's function, with the config of its weights where it asks for it; None: it has no weights."""
    if wants_config(function):
        keywords["config"] = NO_CONFIG if config is None else config
    return function(*arguments, **keywords)
