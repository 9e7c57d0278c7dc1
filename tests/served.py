"""A hub served as users start it: `python app.py` in a process of its own."""

from __future__ import annotations

import asyncio
import io
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import pytest
import uvicorn
from starlette.types import ASGIApp

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[1]
PATIENT = {"timeout": 60.0}  # of gradio_client, which gives a busy machine five seconds


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` in a thread of its own: Playwright leaves a loop running in the tests' thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def command(main: Callable[[list[str]], int], *words: str, folder: Path = ROOT) -> Done:
    """Runs a command line in this process, which has imported torch already."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        try:
            status = main(list(words))
        except SystemExit as ended:  # argparse ends so
            status = ended.code if isinstance(ended.code, int) else 1
    return Done(status, out.getvalue(), err.getvalue())


@dataclass(frozen=True)
class Served:
    """A running hub: its address, what it printed and logged so far, and its process."""

    url: str
    lines: list[str]
    process: subprocess.Popen[str]

    def log(self) -> str:
        return "".join(self.lines)


@contextmanager
def running(app: ASGIApp, lifespan: Literal["on", "off"] = "on") -> Iterator[str]:
    """Serves an app in this process, on a free port; gives its address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(  # with h11 as the hub does, whatever else is installed
            uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1, lifespan=lifespan)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)


@contextmanager
def serving(
    data: Path, *flags: str, start: Sequence[str] = (sys.executable, "app.py"), folder: Path = ROOT
) -> Iterator[Served]:
    """Starts `python app.py` on a free port, waits until it says where it is, and stops it in the end."""
    command = [*start, "--port", "0", "--data", str(data), "--offline", *flags]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("HUB_")}
    # One model process, which compiles nothing beside the tests: those of hub/execution have more.
    # Its models wait for no other hub or browser, of which three run at a time.
    environment |= {"HUB_WORKERS": "1", "HUB_BACKEND": "eager", "HUB_NICE": "0"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        lines: list[str] = []
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if line.startswith("Demo Hub: http"):
                break
        else:
            pytest.fail("the hub did not start:\n" + "".join(lines))
        # Nobody else reads the pipe; a full one would stop the hub.
        reader = threading.Thread(target=lambda: lines.extend(process.stdout or []), daemon=True)
        reader.start()
        try:
            yield Served(line.split(": ", 1)[1].strip(), lines, process)
        finally:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                pytest.fail("the hub did not stop within 60 s of SIGTERM")
            finally:
                reader.join(5)
