"""How many replicas there should be. Serve sends this module around by value, so it imports nothing of the hub's.

Serve would count calls, of which each hub has one for as long as a replica lives, however many runs go through it.
"""

from __future__ import annotations

from typing import Any

RUNS = "runs"


def by_runs(context: Any) -> tuple[float, dict[str, Any]]:
    """As many as have `target_ongoing_requests` runs in hand each; Serve keeps within bounds, and waits a while."""
    told = (context.aggregated_metrics or {}).get(RUNS, {})
    return sum(told.values()) / context.config.get_target_ongoing_requests(), {}
