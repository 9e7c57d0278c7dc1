"""A hub served as users start it: `python app.py` in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Served:
    """A running hub: its address, and what it printed and logged so far."""

    url: str
    lines: list[str]

    def log(self) -> str:
        return "".join(self.lines)


def start(data: Path, *flags: str) -> tuple[subprocess.Popen[str], Served]:
    """Starts `python app.py` on a free port and waits until it says where it is."""
    command = [sys.executable, "app.py", "--port", "0", "--data", str(data), "--offline", *flags]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    lines: list[str] = []
    assert process.stdout is not None
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Demo Hub: http"):
            break
    else:
        pytest.fail("the hub did not start:\n" + "".join(lines))
    served = Served(line.split(": ", 1)[1].strip(), lines)
    # Nobody else reads the pipe; a full one would stop the hub.
    threading.Thread(target=lambda: lines.extend(process.stdout or []), daemon=True).start()
    return process, served


def stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        process.kill()
        pytest.fail("the hub did not stop within 20 s of SIGTERM")
