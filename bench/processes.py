"""Child processes that surely end, and sleep while others are timed: by name, with their log, memory and HTTP."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import IO, Any

import psutil

from bench.client import Http

ROOT = Path(__file__).resolve().parents[1]
START_S, STOP_S = 180.0, 15.0
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
POLL_S = 0.01
DYING_S = 3.0  # a server that has to stop closes its port first
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class ProcessError(Exception):
    """A child process did not do what it was started for; the text ends with the tail of its log."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One running process that says a line when it is ready, and then answers each line of JSON with one."""

    name: str
    process: subprocess.Popen[str]
    log: Path

    def line(self) -> str:
        """What it says next: that it is ready, or an answer."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise ProcessError(f"{self.name} ended:\n{tail(self.log)}")
        return line

    def send(self, order: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()

    def ask(self, order: Any) -> dict[str, Any]:
        self.send(order)
        return dict(json.loads(self.line()))


@dataclass(frozen=True, slots=True)
class Server:
    """One running process that answers HTTP on `port`. `started` is a `time.perf_counter()`."""

    name: str
    port: int
    process: subprocess.Popen[str]
    started: float
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def http(self) -> Http:
        return Http(self.port)

    def wait(self, path: str = "/") -> float:
        """Waits for a complete 200 of `path`; seconds since the process was started."""
        with self.http() as http:
            while time.perf_counter() - self.started < START_S:
                if self.process.poll() is not None:
                    break
                try:
                    status, _ = http.get(path, {"Accept": "text/html"})
                except OSError:
                    time.sleep(POLL_S)
                    continue
                if status == 200:
                    return time.perf_counter() - self.started
                time.sleep(POLL_S)
        raise ProcessError(f"{self.name} does not answer {path}:\n{tail(self.log)}")

    def memory_mb(self) -> tuple[float, float | None]:
        """RSS and, where the system tells, PSS with all children; the median of three readings."""
        readings = []
        for _ in range(3):
            time.sleep(0.3)
            readings.append(self._memory_mb())
        pss = [p for _, p in readings if p is not None]
        return median(r for r, _ in readings), median(pss) if len(pss) == len(readings) else None

    def _memory_mb(self) -> tuple[float, float | None]:
        parent = psutil.Process(self.process.pid)
        infos = [parent.memory_full_info()]
        for child in parent.children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # some live for a moment only
                infos.append(child.memory_full_info())
        pss = sum(getattr(info, "pss", 0) for info in infos) / 2**20
        return sum(info.rss for info in infos) / 2**20, pss or None


class Processes:
    """Starts processes and stops them all at the end, however that comes. Start from the main thread only."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._running: list[subprocess.Popen[str]] = []
        self._logs: dict[int, Path] = {}
        self._count = 0

    def __enter__(self) -> Processes:
        if LIBC is not None:  # whom a server leaves behind becomes our child: the time they took is counted as ours
            LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def _start(
        self, name: str, arguments: list[str], *, pipes: bool = False, python: str = sys.executable, root: Path = ROOT,
        **environment: str,
    ) -> subprocess.Popen[str]:  # fmt: skip
        """Python with `arguments`; its log is a file. With `pipes` its stdin and stdout are ours."""
        self._count += 1
        log = self._log(name)
        with log.open("w") as stream:
            out: int | IO[str] = subprocess.PIPE if pipes else stream
            process = subprocess.Popen(
                [python, *arguments],
                cwd=root,
                env={**self._environment(), **environment},
                stdin=subprocess.PIPE if pipes else subprocess.DEVNULL,
                stdout=out,
                stderr=stream,
                text=True,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        self._running.append(process)
        self._logs[process.pid] = log
        return process

    def serve(
        self, name: str, arguments: list[str], port: int, *, python: str = sys.executable, root: Path = ROOT
    ) -> Server:
        started = time.perf_counter()
        process = self._start(name, arguments, python=python, root=root, GRADIO_SERVER_PORT=str(port))
        return Server(name, port, process, started, self._log(name))

    def work(self, name: str, arguments: list[str]) -> Worker:
        """It may not be ready yet: its first line says so."""
        process = self._start(name, arguments, pipes=True)
        return Worker(name, process, self._log(name))

    def wake_only(self, *which: Worker | Server) -> None:
        """All other processes sleep (SIGSTOP): some spin or poll while they wait, which slows whoever is timed."""
        awake = {one.process.pid for one in which}
        for process in self._running:
            if process.pid not in awake:
                _signal_tree(process, signal.SIGSTOP)
        for process in self._running:
            if process.pid in awake:
                _signal_tree(process, signal.SIGCONT)

    def stop(self, *which: Worker | Server) -> None:
        self._end([one.process for one in which])

    def stop_all(self) -> None:
        self._end(self._running)

    def _end(self, processes: list[subprocess.Popen[str]]) -> None:
        trees = {process.pid: _tree(process) for process in processes}
        for process in processes:
            _signal(process, signal.SIGTERM)
            _signal_tree(process, signal.SIGCONT)  # who sleeps hears nothing
        end = time.monotonic() + STOP_S
        for process in processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, end - time.monotonic()))
            _signal(process, signal.SIGKILL)  # and whatever it may have left in its group
            for left in trees[process.pid]:
                with contextlib.suppress(psutil.Error):
                    left.kill()  # or outside of it
            process.wait()
            for left in trees[process.pid]:
                with contextlib.suppress(ChildProcessError):  # most had a parent who waited for them
                    os.waitpid(left.pid, 0)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
        self._running = [process for process in self._running if process not in processes]

    def ended(self) -> str:
        """Which processes ended by themselves or by another's hand, with the tail of their logs; empty: none."""
        time.sleep(DYING_S)
        gone = [process for process in self._running if process.poll() is not None]
        return "\n".join(
            f"{self._logs[p.pid].stem} ended with {p.returncode}:\n{tail(self._logs[p.pid])}" for p in gone
        )

    def _log(self, name: str) -> Path:
        return self.folder / f"{self._count}-{name}.log"

    def _environment(self) -> dict[str, str]:
        """Ours without what would change either side; bytecode is kept, as it is on a user's machine."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HUB_", "GRADIO_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        temporary = str(self.folder)
        return {**kept, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "TMPDIR": temporary}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _end_with_parent() -> None:
    """In the child: be killed when the benchmark dies, even of SIGKILL (Linux)."""
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _tree(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """All that it started, and what those started."""
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal_tree(process: subprocess.Popen[str], number: int) -> None:
    """To its group, and to those of its children that left the group."""
    _signal(process, number)
    for child in _tree(process):
        with contextlib.suppress(psutil.Error, ProcessLookupError):
            if os.getpgid(child.pid) != process.pid:
                child.send_signal(number)


def _signal(process: subprocess.Popen[str], number: int) -> None:
    """To the process's own group; it was made its leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
