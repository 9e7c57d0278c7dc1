"""The hub's doors with nothing behind them: every run has the first one's answer at once.

python -m bench.baselines.stubbed PORT FOLDER PAGE
"""

from __future__ import annotations

import sys
import threading
from typing import Any

from hub.cli.serve import HERE, listen
from hub.execution.executor import Computed, Executor, Flag, OnEvent, Work
from hub.hub import Hub
from hub.settings import Settings
from hub.web import server, serving


class Stub:
    """An executor that computes once."""

    def __init__(self, real: Executor):
        self._real, self._lock = real, threading.Lock()
        self._first: Computed | None = None

    def compute(self, work: Work, on_event: OnEvent, cancel: Flag) -> Computed:
        """As `Executor` says."""
        with self._lock:
            if self._first is None:
                self._first = self._real.compute(work, on_event, cancel)
        return self._first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


def main() -> None:
    port, folder, page = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    settings = Settings(
        port=port, data=folder, demos=page, device="cpu", backend="eager", offline=True, log_level="warning",
        results_memory_mb=0.0, results_disk_mb=0.0,
    )  # fmt: skip
    hub = Hub(settings)
    hub.engine.executor = Stub(hub.executor)
    with listen(settings.host, port) as listener:
        serving.serve(server.build_app(hub), hub, listener, proxies=HERE)


if __name__ == "__main__":
    main()
