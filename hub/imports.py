"""What a failed import leaves behind: parts of packages that are not wholly imported, which spoil the next try."""

from __future__ import annotations

import logging
import sys
import threading
from importlib.machinery import ExtensionFileLoader

from hub.errors import UnavailableError, brief
from hub.texts import Sentence, sentence

log = logging.getLogger(__name__)

# Guards both below; taken alone.
_LOCK = threading.Lock()
_USUAL: set[str] = set()  # parts without their package that are no trouble: some libraries make such modules up
_SPOILED: dict[str, str] = {}  # packages that cannot be imported again in this process, with what went wrong at first


def settle() -> None:
    """All that is imported now is as it should be."""
    with _LOCK:
        _USUAL.update(_orphans())


def forget_halves(error: BaseException) -> None:
    """After a failure: the next import of a package that failed half-way begins anew.

    Python forgets the module that failed, and keeps the parts that it had imported by then. Compiled parts cannot be
    imported twice: their package is told in `warnings` instead.
    """
    with _LOCK:
        halves: dict[str, list[str]] = {}
        for name in _orphans() - _USUAL:
            halves.setdefault(name.partition(".")[0], []).append(name)
        for package, names in halves.items():
            if any(_compiled(name) for name in names):
                _SPOILED.setdefault(package, brief(error))
            else:
                log.warning("%s was not wholly imported; the next import begins anew", package)
                for name in names:
                    sys.modules.pop(name, None)


def warnings() -> list[Sentence]:
    """Packages that only a restart can mend."""
    with _LOCK:
        return [
            sentence(
                "The package {package} was not wholly imported ({reason}) and cannot be imported again in this "
                "process. Restart the hub.",
                package=package,
                reason=reason,
            )
            for package, reason in _SPOILED.items()
            if package not in sys.modules
        ]


def load_failure(key: str, error: Exception) -> UnavailableError:
    """What users read of a model whose load failed; with the way out, where trying again is none."""
    for why in warnings():
        return UnavailableError("{key} could not be loaded: {reason}. {why}", key=key, reason=brief(error), why=why)
    return UnavailableError("{key} could not be loaded: {reason}", key=key, reason=brief(error))


def _orphans() -> set[str]:
    """Modules of a package that is not there, or that has none itself. The pages' own never have one."""
    modules, orphans = set(sys.modules), set[str]()
    for name in sorted(modules):  # packages before their parts
        parent = name.rpartition(".")[0]
        if parent and (parent not in modules or parent in orphans) and not name.startswith("demos."):
            orphans.add(name)
    return orphans


def _compiled(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return isinstance(getattr(spec, "loader", None), ExtensionFileLoader)
