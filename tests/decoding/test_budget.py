"""The budget of pixels that are open at once: every decoding waits its turn, none waits for ever."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub.archive import cards, sharing
from hub.decoding import budget
from hub.decoding.budget import BUDGET
from hub.decoding.decode import ImageLimits, decode
from hub.engine import differences
from hub.engine.jobs import Cancel
from hub.errors import BusyError, CancelledError, InputError
from hub.hub import Hub
from hub.images import encode
from hub.pages import inputs, outputs
from hub.results.result import Picture, Result
from hub.settings import ROOT
from hub.spec import ImageInput, Labels
from hub.web.gradio_door import stills
from hub.web.mcp import tools as mcp_tools
from tests.engine.test_engine import run_in_thread
from tests.fakes import PATIENCE_S, in_threads, picture, shade_demo, wait_until

Make = Callable[..., Hub]
TINY = {"open_megapixels": 0.1}  # 12,500 pixels for small pictures, 87,500 for others: two of these
WIDTH, HEIGHT = 200, 150


def png(seed: int, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    return encode(picture(width, height, seed), "png")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = BUDGET.pixels
    yield
    wait_until(lambda: (BUDGET.used, BUDGET.waiting) == (0, 0), "all room came back")
    BUDGET.resize(before)


@pytest.fixture
def full() -> Iterator[None]:
    """Somebody else holds all room there is."""
    rooms = [budget.PixelRoom(lambda: PATIENCE_S, lambda: False) for _ in range(2)]
    for room, pixels in zip(rooms, (1, BUDGET.pixels), strict=True):  # of the small ones, and of the others
        BUDGET.take(room, pixels)
    rooms[0].ask(BUDGET.pixels)
    yield
    for room in rooms:
        room.give_back()


class Gate:
    """Holds runs in `prepare` until it opens, and counts those that are between there and the end of `present`."""

    def __init__(self) -> None:
        self.opened, self._lock = threading.Event(), threading.Lock()
        self.now = self.most = self.prepared = 0

    def prepare(self, image: Any, level: float) -> Any:
        with self._lock:
            self.now, self.prepared = self.now + 1, self.prepared + 1
            self.most = max(self.most, self.now)
        assert self.opened.wait(PATIENCE_S)
        assert BUDGET.used <= BUDGET.pixels
        return np.asarray(image.resize((16, 16)).convert("L"), np.float32) / 255

    def present(self, output: float, image: Any, level: float) -> dict[str, Any]:
        assert image.size == (WIDTH, HEIGHT)
        with self._lock:
            self.now -= 1
        return {"shade": {"light": output, "dark": 1 - output}}

    def demo(self, **changes: Any) -> Any:
        return shade_demo(prepare=self.prepare, present=self.present, outputs=(Labels("shade", "Shade"),), **changes)


def test_64_pictures_at_once_stay_within_the_budget(make_hub: Make) -> None:
    gate = Gate()
    hub = make_hub(shade=gate.demo(), settings=TINY)
    hub.models.machine()
    threads = [run_in_thread(hub, "shade", {"image": png(n)}) for n in range(64)]
    wait_until(lambda: BUDGET.waiting == 62, "all others wait")
    assert (gate.now, BUDGET.used) == (2, 2 * WIDTH * HEIGHT)
    gate.opened.set()
    for thread, outcome in threads:
        thread.join(PATIENCE_S)
        assert isinstance(outcome[0], Result)
    assert (gate.most, gate.prepared) == (2, 64)


def test_a_small_picture_is_not_stuck_behind_giants(make_hub: Make) -> None:
    gate = Gate()
    hub = make_hub(shade=gate.demo(), frames=shade_demo(), settings=TINY)
    hub.models.machine()
    threads = [run_in_thread(hub, "shade", {"image": png(n)}) for n in range(4)]
    wait_until(lambda: BUDGET.waiting == 2, "giants wait")
    assert hub.engine.run("frames", {"image": png(9, 40, 30)}, kind="live").values
    assert BUDGET.waiting == 2
    gate.opened.set()
    for thread, _ in threads:
        thread.join(PATIENCE_S)


def test_who_waits_past_the_deadline_is_told_when_to_try_again(make_hub: Make) -> None:
    gate = Gate()
    hub = make_hub(shade=gate.demo(), settings={**TINY, "deadline_s": 0.05})
    hub.models.machine()
    with budget.room() as room:
        room.ask(BUDGET.pixels)
        thread, outcome = run_in_thread(hub, "shade", {"image": png(1)})
        thread.join(PATIENCE_S)
    assert isinstance(outcome[0], BusyError)
    assert (outcome[0].status, outcome[0].retry_after_s) == (429, budget.RETRY_S)
    assert "0.1 megapixels are open at once in this hub" in str(outcome[0])
    assert gate.prepared == 0


def test_a_cancelled_run_gives_up_its_place(make_hub: Make, full: None) -> None:
    hub, cancel = make_hub(shade=shade_demo()), Cancel()
    hub.models.machine()
    thread, outcome = run_in_thread(hub, "shade", {"image": png(1)}, cancel=cancel)
    wait_until(lambda: BUDGET.waiting == 1)
    cancel.set()
    thread.join(PATIENCE_S)
    assert isinstance(outcome[0], CancelledError)


def test_runs_of_two_pictures_never_wait_for_each_other(make_hub: Make) -> None:
    demo = shade_demo(
        inputs=(ImageInput("one", "One"), ImageInput("other", "Other")),
        prepare=lambda one, other: np.asarray(one.resize((16, 16)).convert("L"), np.float32) / 255,
        present=lambda output, one, other: {"shade": {"light": output, "dark": 1 - output}},
        outputs=(Labels("shade", "Shade"),),
    )
    hub = make_hub(shade=demo, settings={"open_megapixels": 0.08})  # room for two pictures of 30,000 pixels
    hub.models.machine()
    jobs = [lambda n=n: hub.engine.run("shade", {"one": png(n), "other": png(n + 50)}) for n in range(8)]
    assert all(isinstance(outcome, Result) for outcome in in_threads(jobs))


def test_a_picture_larger_than_all_room_comes_in_alone(make_hub: Make) -> None:
    hub = make_hub(shade=shade_demo(), settings={"open_megapixels": 0.01})
    jobs = [lambda n=n: hub.engine.run("shade", {"image": png(n)}) for n in range(4)]
    assert all(isinstance(outcome, Result) for outcome in in_threads(jobs))


def test_an_error_that_is_kept_keeps_no_room(make_hub: Make) -> None:
    def fail(image: Any, level: float) -> Any:
        raise ValueError("not this one")

    hub = make_hub(shade=shade_demo(prepare=fail))
    kept = []
    for data in (png(1), png(2)[:500]):
        try:
            hub.engine.run("shade", {"image": data})
        except Exception as error:
            kept.append(error)
        assert BUDGET.used == 0
    assert len(kept) == 2


def test_a_run_whose_model_is_slow_lends_its_room(make_hub: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inputs, "LEND_S", 0.0)
    held, begun = threading.Event(), threading.Event()

    def slow(model: Any, items: list[Any]) -> list[float]:
        begun.set()
        assert held.wait(PATIENCE_S)
        return [float(item.mean()) for item in items]

    gate = Gate()
    gate.opened.set()
    hub = make_hub(slow=gate.demo(infer=slow), quick=shade_demo(), settings={"open_megapixels": 0.05})
    hub.models.machine()
    thread, outcome = run_in_thread(hub, "slow", {"image": png(1)})
    assert begun.wait(PATIENCE_S)
    assert hub.engine.run("quick", {"image": png(2)}).values  # the picture of the slow one would have filled the room
    held.set()
    thread.join(PATIENCE_S)
    assert isinstance(outcome[0], Result)  # its `present` got the picture


def test_a_picture_is_dropped_before_what_was_made_of_it_is_encoded(
    make_hub: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown, gone, encoded = list[weakref.ref[Any]](), list[bool](), outputs.encode

    def present(output: float, image: Any, level: float) -> dict[str, Any]:
        shown.append(weakref.ref(image))
        return {"shade": {"light": output, "dark": 1 - output}}

    monkeypatch.setattr(outputs, "encode", lambda *given: gone.append(shown[0]() is None) or encoded(*given))
    make_hub(shade=shade_demo(present=present, outputs=(Labels("shade", "Shade"),))).engine.run(
        "shade", {"image": png(1)}
    )
    assert gone == [True]


def test_pixels_that_take_more_memory_count_for_more() -> None:
    sizes = {mode: budget.weigh((100, 100), mode) for mode in ("L", "RGB", "RGBA", "CMYK", "F")}
    assert sizes == {"L": 10_000, "RGB": 10_000, "RGBA": 15_000, "CMYK": 15_000, "F": 30_000}


@pytest.mark.parametrize(
    "door",
    [
        lambda tmp: decode(png(1)),
        lambda tmp: sharing.clean(png(1), ImageLimits()),
        lambda tmp: stills.write_browsable(png(1), tmp),
        lambda tmp: mcp_tools._image(Picture(png(1, 3000, 60), "image/png", 3000, 60), exact=False),
        lambda tmp: cards._cover(png(1)),
        lambda tmp: differences._share(*(Picture(png(n), "image/png", WIDTH, HEIGHT) for n in (1, 2)), 0),
    ],
    ids=["decode", "link", "still", "mcp", "card", "differences"],
)
def test_what_has_no_deadline_waits_too_and_not_for_ever(
    door: Callable[[Path], Any], full: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "PATIENCE_S", 0.0)
    with pytest.raises(BusyError, match="Others' pictures took all the room"):
        door(tmp_path)


def test_a_picture_that_is_refused_takes_no_room(full: None) -> None:
    with pytest.raises(InputError, match="megapixels are read"):
        decode(png(1), ImageLimits(max_pixels=1000))


def test_pillow_opens_pictures_in_the_budget_alone() -> None:
    """Whoever adds a thumbnail finds `budget.opened`. The command line's own process has nothing to share."""
    # These read headers, what the hub drew itself, or are no server.
    alone = {"decoding/budget.py", "batch/flow.py", "cli/remote_hub.py", "contract/answers.py"}
    files = {path.relative_to(ROOT / "hub").as_posix(): path for path in (ROOT / "hub").rglob("*.py")}
    found = {name for name, path in files.items() if "Image.open(" in path.read_text("utf-8")}
    assert found <= alone


BURST = """
import io, threading, time
import psutil
from PIL import Image
from hub import memory
from hub.decoding import budget
from hub.decoding.decode import decode

memory.settle()
budget.BUDGET.resize(21_000_000)
rss = lambda: psutil.Process().memory_info().rss / 2**20
def png(side):
    file = io.BytesIO()
    Image.new("RGB", (side, side)).save(file, "PNG")
    return file.getvalue()
def look(data):
    with budget.room():
        image = decode(data)
        image.transpose(Image.Transpose.ROTATE_90)
look(png(300))
bomb = png(3000)
before = rss()
threads = [threading.Thread(target=look, args=(bomb,)) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
peak = int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024
for _ in range(300):
    if rss() < before * 1.3: break
    time.sleep(0.1)
print(before, peak, rss())
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads memory as Linux tells it")
def test_memory_of_a_burst_is_bounded_and_given_back() -> None:
    """16 pictures of 9 megapixels in 16 threads; each takes 72 MB while it is decoded. `make soak` asks a whole hub."""
    done = subprocess.run([sys.executable, "-c", BURST], capture_output=True, text=True, timeout=100, check=True)
    before, peak, after = map(float, done.stdout.split())
    assert peak - before < 300  # two at once; all 16 would be more than a gigabyte
    assert after < before * 1.3


ARENAS = """
import ctypes, threading
from hub import memory
memory.settle()
libc = ctypes.CDLL("libc.so.6")
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes = (ctypes.c_int, ctypes.c_void_p)
libc.fclose.argtypes = (ctypes.c_void_p,)
together = threading.Barrier(32)
def take():
    together.wait()
    block = ctypes.create_string_buffer(10_000)
    together.wait()
threads = [threading.Thread(target=take) for _ in range(32)]
for thread in threads: thread.start()
for thread in threads: thread.join()
file = libc.fopen(b"/dev/stdout", b"w")
libc.malloc_info(0, file)
libc.fclose(file)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_threads_share_one_arena() -> None:
    """Each keeps what its fullest moment took: with one a thread, a door grew by 200 MB in its first busy minutes."""

    def arenas(**environment: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", ARENAS], capture_output=True, text=True, timeout=100, check=True,
            env=os.environ | environment,
        )  # fmt: skip
        return done.stdout.count("<heap nr=")

    assert arenas() == 1
    assert arenas(MALLOC_ARENA_MAX="5") > 2, "whoever sets that knows what they want"


GROWTH = """
import ctypes, psutil
from hub import memory
memory.settle_for_models()
rss = lambda: psutil.Process().memory_info().rss / 2**20
growth = memory.Growth()
growth.look()
before = rss()
blocks = [ctypes.create_string_buffer(2**20) for _ in range(400)]
blocks = blocks[::20]
free = rss()
growth.look()
after = rss()
blocks += [ctypes.create_string_buffer(2**20) for _ in range(400)]
blocks = blocks[::20]
growth.look()
print(before, free, after, rss())
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="asks glibc")
def test_memory_full_of_holes_is_given_back_in_the_midst_of_work_but_not_all_the_time() -> None:
    done = subprocess.run([sys.executable, "-c", GROWTH], capture_output=True, text=True, timeout=100, check=True)
    before, free, after, again = map(float, done.stdout.split())
    assert free > before + 350
    assert after < before + 50
    assert again > after + 200, "a moment later it is left alone"
