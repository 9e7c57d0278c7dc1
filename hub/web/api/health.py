"""What the hub says about itself: what it holds now, and whether it can serve."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import psutil

from hub import describe
from hub.hub import Hub


def status(hub: Hub) -> dict[str, Any]:
    """What the hub holds and does now. The first call may have to find out about the hardware."""
    machine, state = hub.models.machine(), hub.models.state()
    return {
        "device": machine.device,
        "dtype": machine.dtype,
        "backend": hub.settings.backend,
        "pool": {
            "budget_bytes": machine.budget_bytes,
            "used_bytes": state.used_bytes,
            "models": [asdict(model) for model in state.models],
        },
        "warnings": warnings(hub),
        "results": {**hub.results.stats(), "warning": hub.results.warning},
        "queue": {"in_work": hub.engine.in_work, "limit": hub.settings.queue_limit},
        "models": [asdict(one) for one in hub.models.residents()],
        "process_bytes": memory_bytes(hub),
        "processes": [asdict(one) for one in hub.models.processes()],
        "demos": {page.slug: asdict(describe.state(hub, page)) for page in hub.visible},
    }


def memory_bytes(hub: Hub) -> int:
    """What the hub and its model processes hold of the machine's memory."""
    return int(psutil.Process().memory_info().rss) + sum(one.bytes for one in hub.models.processes())


def warnings(hub: Hub) -> list[str]:
    """What needs an operator while the hub serves what it can. Every part that can notice trouble has its line here.

    /readyz, the status page and `status` tell them; they are sentences, so that the page has them in its language.
    """
    hub.results.retry()
    return [
        *filter(None, [hub.disk.trouble()]),
        *describe.notices(hub),
        *([stuck] if (stuck := hub.models.stuck()) else []),
        *hub.models.warnings(),
    ]


def readiness(hub: Hub) -> tuple[bool, dict[str, Any]]:
    """Whether at least one demo can answer, with what is wrong with the others."""
    states = {page.slug: describe.state(hub, page) for page in hub.registry}
    wrong = {slug: s.reason or s.text for slug, s in states.items() if s.code in ("unavailable", "broken")}
    ready = len(wrong) < len(states)
    reasons = [] if ready else ["No demo can answer." if states else "There is no demo."]
    if hub.stop.begun.is_set():
        ready, reasons = False, ["The hub is stopping."]
    return ready, {
        "status": "ready" if ready else "not ready",
        "reasons": reasons,
        "demos": {slug: why for slug, why in wrong.items() if slug in hub.visible.pages},  # it answers anybody
        "warnings": warnings(hub),
    }
