"""A text that is written word by word: every door shows it as it comes, as text, and who leaves ends it."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from gradio_client import Client
from mcp import Client as McpClient
from rich.console import Console
from streamlit.testing.v1 import AppTest

from hub.cli import run as cli_run
from hub.cli.remote_hub import RemoteHub, declared
from hub.engine.jobs import Cancel, Events, text_so_far
from hub.errors import CancelledError, HubError
from hub.execution import batching
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.spec import Progress
from hub.web import server
from hub.web.middleware import sessions
from hub.web.parts import html
from hub.web.streamlit_ui import host as streamlit_host
from tests.fakes import HOSTILE, PATIENCE_S, writing_demo
from tests.served import PATIENT, run_async, running

pytestmark = pytest.mark.slow

PAUSE_S = 0.15  # a word; longer than the hub waits between two texts
ENDED = threading.Event()  # set when a run was left before its end
WHOLE = "{words} " + HOSTILE + "[31m"  # what a terminal would act on is gone


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("writes")
    settings = Settings(device="cpu", dtype="float32", data=str(folder / "data"))
    page = Page("writes", "a test", folder, declared=writing_demo(PAUSE_S, ENDED))
    made = Hub(settings, Registry({"writes": page}))
    streamlit_host.use(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def address(hub: Hub) -> Iterator[str]:
    async def build() -> Any:  # in a running event loop: outside of one, Gradio makes loops it never closes
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield url


def check(told: list[str], words: str) -> None:
    """Each text begins as the next one does, and they are several; none has what a terminal would act on."""
    whole = WHOLE.format(words=words)
    assert len(told) >= 3 and "\x1b" not in "".join(told), told
    assert told == sorted(set(told), key=len) and all(whole.startswith(text) for text in told), told


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    name = ""
    for line in answer.iter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


def test_rest_tells_the_text_so_far_where_there_is_more_of_it(address: str) -> None:
    url, accept = f"{address}/api/v1/demos/writes", {"Accept": "text/event-stream"}
    with httpx.stream("POST", url, json={"text": "over the wire"}, headers=accept, timeout=60) as answer:
        told = list(events(answer))
    check([data["text"] for name, data in told if name == "progress" and "text" in data], "over the wire")
    assert told[-1][1]["outputs"]["written"] == WHOLE.format(words="over the wire")


def test_who_leaves_ends_the_writing(address: str) -> None:
    ENDED.clear()
    url, accept = f"{address}/api/v1/demos/writes", {"Accept": "text/event-stream"}
    wish = {"text": "word " * 150}
    with httpx.stream("POST", url, json=wish, headers=accept, timeout=60) as answer:
        assert next(data for name, data in events(answer) if "text" in data)
    assert ENDED.wait(PATIENCE_S)


def test_gradio_client_gets_it_as_outputs_of_its_job_and_the_answer_in_the_end(address: str) -> None:
    client = Client(address, verbose=False, httpx_kwargs=PATIENT)
    job = client.submit(text="as it comes", api_name="/writes")
    count, written, receipt = job.result(60)
    assert (count, written) == (4, WHOLE.format(words="as it comes")) and receipt["id"]
    *early, last = job.outputs()
    assert last == (count, written, receipt)
    check([text for _, text, _ in early], "as it comes")
    assert {(number, paid) for number, _, paid in early} == {(None, None)}
    assert client.predict(text="as it comes", api_name="/writes")[1] == written, "a stored answer comes at once"
    with pytest.raises(Exception, match="text is missing"):
        client.predict(text=None, api_name="/writes")
    ENDED.clear()
    job = client.submit(text="word " * 150, api_name="/writes")
    end = time.monotonic() + PATIENCE_S
    while not job.outputs() and time.monotonic() < end:
        time.sleep(0.05)
    job.cancel()
    assert ENDED.wait(PATIENCE_S), "who cancels a job ends the run"
    client.close()


def test_agents_hear_it_as_the_message_of_the_progress(address: str) -> None:
    heard: list[tuple[float, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, message))

    async def ask() -> Any:
        async with McpClient(f"{address}/mcp") as client:
            return await client.call_tool("writes", {"text": "to an agent"}, progress_callback=hear)

    answer = run_async(ask())
    assert answer.structured_content["outputs"]["written"] == WHOLE.format(words="to an agent")
    check([message for _, message in heard if message and message.startswith("to")], "to an agent")
    assert [step for step, _ in heard] == sorted({step for step, _ in heard}), "it only grows"


def test_the_command_line_shows_how_it_ends_so_far_below_its_bar(hub: Hub, address: str) -> None:
    demo = declared(httpx.get(f"{address}/api/v1/demos/writes", timeout=60).json())
    told: list[str] = []

    def hear(stage: str, progress: Progress | None) -> None:
        told.append(text_so_far(progress))

    with RemoteHub(address) as remote:
        result, _ = remote.run(demo, "writes", {"text": "from a hub elsewhere"}, False, hear)
    assert result.values["written"] == WHOLE.format(words="from a hub elsewhere")
    check([text for text in told if text], "from a hub elsewhere")

    screen = io.StringIO()
    out = Console(file=screen, force_terminal=True, width=80, color_system=None)
    ask = lambda inputs, hear, cancel: hub.engine.run("writes", inputs, on_event=hear, cancel=cancel)  # noqa: E731
    with cli_run._answers(hub.settings, "writes", [{"text": "on [bold]a[/] screen"}], out, ask) as answers:
        (answer,) = answers
    assert not isinstance(answer, HubError)
    shown = screen.getvalue()
    assert "on [bold]a[/] screen" in shown and "on [bold]a[/] screen <script>" in shown, "none of it is markup"


def test_a_page_draws_it_as_text(hub: Hub) -> None:
    drawn = str(html.status("running", 1.0, 1, 4, so_far=f"{HOSTILE} & more"))
    assert HOSTILE not in drawn and "&lt;script&gt;" in drawn and "hub-so-far" in drawn
    assert "hub-so-far" not in str(html.status("running", 1.0, 1, 4))


def test_a_streamlit_page_draws_it_while_it_runs(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")
    drawn: list[str] = []
    real = html.text
    monkeypatch.setattr(html, "text", lambda words, is_markdown: drawn.append(words) or real(words, is_markdown))

    def script() -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get("writes"), "http://hub.test")

    page = AppTest.from_function(script, default_timeout=60).run()
    page.text_area[0].set_value("in a stream")
    (button,) = [one for one in page.button if one.label == "Run"]
    page = button.click().run()
    assert not page.exception
    whole = WHOLE.format(words="in a stream")
    assert drawn[-1] == whole, "the answer itself"
    check([*dict.fromkeys(text for text in drawn if text != whole), whole], "in a stream")


def test_between_two_texts_the_last_one_stands_and_a_new_stage_forgets_it() -> None:
    heard: list[str] = []
    events = Events(lambda stage, progress: heard.append(text_so_far(progress)))
    for progress in (Progress(1, 3, text=("a",)), Progress(2, 3), None, Progress(1, 3)):
        events.tell("running", progress)
    assert heard == ["a", "a", "", ""]


def drive(steps: list[Progress], count: int, pause_s: float = 0.0) -> list[list[str]]:
    """What each of so many runs of one batch hears of its text."""
    heard: list[list[str]] = [[] for _ in range(count)]

    def infer() -> Iterator[Progress]:
        for step in steps:
            yield step
            time.sleep(pause_s)

    def listener(number: int) -> Any:
        return lambda stage, progress: heard[number].append(text_so_far(progress))

    tickets = [batching.Ticket(None, listener(number)) for number in range(count)]
    batching._drive(infer(), tickets, batching.Pieces(0.0, 0.0))
    return heard


def test_each_of_a_batch_hears_of_its_own_text_cut_and_no_more_often_than_ten_times_a_second() -> None:
    assert drive([Progress(1, 2, text=("mine", None)), Progress(2, 2)], 2) == [["mine", ""], ["", ""]]
    ((long,),) = drive([Progress(1, 1, text=("x" * 30_000,))], 1)
    assert len(long) == 20_000
    (quick,) = drive([Progress(n, 100, text=(f"{n}",)) for n in range(100)], 1, pause_s=0.003)
    assert len([text for text in quick if text]) <= 2 + 0.3 / batching.TEXT_EVERY_S * 4  # on a busy machine, too


@pytest.mark.parametrize("text", [("one",), "ab", (1, 2)])
def test_a_text_that_is_not_one_of_each_item_is_refused_in_words(text: Any) -> None:
    with pytest.raises(HubError, match="a text or None for each of its 2 items"):
        drive([Progress(1, 1, text=text)], 2)


def test_a_run_that_is_cancelled_ends_at_the_next_step(hub: Hub) -> None:
    ENDED.clear()
    cancel = Cancel()

    def hear(stage: str, progress: Progress | None) -> None:
        if text_so_far(progress):
            cancel.set()

    with pytest.raises(CancelledError):
        hub.engine.run("writes", {"text": "never " * 150}, on_event=hear, cancel=cancel)
    assert ENDED.wait(PATIENCE_S)
