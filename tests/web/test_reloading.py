"""`--reload`: a page that was saved is swapped at every door; its model stays, and a broken page keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.settings import Settings
from hub.web import server
from hub.weights.again import loading_code
from tests.fakes import wait_until
from tests.served import run_async

pytestmark = pytest.mark.slow

PAGE = """from hub.spec import Demo, Json, Slider

FIRST = 1


def build(folder, device):
    return {"first": FIRST}


def infer(model, items):
    return [model["first"] + item for item in items]


DEMO = Demo(
    title="TITLE", summary="A page for tests.", task="Test",
    inputs=(Slider("number", "Number", 0, 100, default=1, step=1),), outputs=(Json("sum", "Sum"),),
    load=build, prepare=lambda number: number, infer=infer, present=lambda output, number: {"sum": output},
)
"""


@dataclass
class Writer:
    """A hub that watches, a client, and the file."""

    hub: Hub
    client: TestClient
    file: Path

    def save(self, text: str) -> None:
        before = self.ages().get("mine")
        self.file.write_text(text, encoding="utf-8")
        wait_until(lambda: (now := self.ages().get("mine")) is not None and (before is None or now < before))

    def ages(self) -> dict[str, float]:
        answer: dict[str, float] = self.client.get("/api/v1/reloads").json()
        return answer

    def run(self, slug: str = "mine") -> dict[str, Any]:
        answer: dict[str, Any] = self.client.post(f"/api/v1/demos/{slug}", json={"number": 5}).json()
        return answer


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    demos = tmp_path / "demos"
    demos.mkdir()
    for slug in ("mine", "other"):
        (demos / f"{slug}.py").write_text(PAGE.replace("TITLE", slug.title()), encoding="utf-8")
    hub = Hub(Settings(data=str(tmp_path / "data"), demos_folder=str(demos), device="cpu", reload=True))

    async def build() -> Any:  # outside of an event loop, Gradio makes loops that it never closes
        return server.build_app(hub)

    with TestClient(run_async(build()), base_url="http://127.0.0.1") as client:
        yield Writer(hub, client, demos / "mine.py")


def test_a_saved_page_is_served_and_its_model_stays(writer: Writer) -> None:
    first = writer.run()
    assert (first["outputs"]["sum"], first["receipt"]["cold"]) == (6, True)
    assert "Mine" in writer.client.get("/mine").text

    text = PAGE.replace("TITLE", "Yours").replace('{"sum": output}', '{"sum": -output}')
    writer.save(text)
    again = writer.run()
    assert (again["outputs"]["sum"], again["receipt"]["cold"], again["receipt"]["cached"]) == (-6, False, False)
    page, home = writer.client.get("/mine").text, writer.client.get("/").text
    assert "Yours" in page and "Yours" in home and "api/v1/reloads" in page

    writer.save(text.replace("FIRST = 1", "FIRST = 100"))
    anew = writer.run()
    assert (anew["outputs"]["sum"], anew["receipt"]["cold"]) == (-105, True)


def test_gradio_client_reaches_the_page_as_it_is_now(writer: Writer) -> None:
    def named() -> dict[str, Any]:
        ends: dict[str, Any] = writer.client.get("/gradio_api/info").json()["named_endpoints"]
        return ends

    assert [one["parameter_name"] for one in named()["/mine"]["parameters"]] == ["number"]
    writer.save(PAGE.replace('"number"', '"count"').replace("number", "count"))
    assert [one["parameter_name"] for one in named()["/mine"]["parameters"]] == ["count"]
    event = writer.client.post("/gradio_api/call/mine", json={"data": [7]}).json()["event_id"]
    assert "8" in writer.client.get(f"/gradio_api/call/mine/{event}").text


def test_a_broken_page_says_so_and_the_others_serve(writer: Writer) -> None:
    writer.run()
    writer.save(PAGE + "def (")
    assert "SyntaxError" in writer.run()["detail"]
    page = writer.client.get("/mine").text
    assert "invalid syntax" in page and "Mend the file and save it." in page
    assert writer.run("other")["outputs"] == {"sum": 6}
    writer.save(PAGE + "# mended")
    assert writer.run()["receipt"]["cold"] is False


def test_pages_come_and_go(writer: Writer) -> None:
    new = writer.file.with_name("new_one.py")
    new.write_text(PAGE.replace("TITLE", "New"), encoding="utf-8")
    wait_until(lambda: "new_one" in writer.ages())
    assert writer.run("new_one")["outputs"] == {"sum": 6}
    writer.file.unlink()
    wait_until(lambda: "mine" not in writer.hub.registry.pages and "mine" in writer.ages())
    assert (
        writer.run()["status"] == 404 and writer.client.get("/mine", headers={"accept": "text/html"}).status_code == 404
    )
    assert [one["slug"] for one in writer.client.get("/api/v1/demos").json()] == ["new_one", "other"]


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("FIRST = 1", "FIRST = 2", False),
        ('{"sum": output}', '{"sum": 0}', True),
        ("def build(folder, device):", "def build(folder, device):\n    # a comment", True),
        ("return {", "return dict() or {", False),
        ("DEMO = Demo(", "DEMO = Demo(**{} if FIRST else {}, ", True),
        ("load=build", "**{'load': build}", False),
    ],
)
def test_a_model_is_loaded_anew_where_what_makes_it_has_changed(
    before: str, after: str, same: bool, tmp_path: Path
) -> None:
    one, other = tmp_path / "one.py", tmp_path / "other.py"
    one.write_text(PAGE, encoding="utf-8"), other.write_text(PAGE.replace(before, after), encoding="utf-8")
    assert (loading_code(one) == loading_code(other)) is same
    assert loading_code(tmp_path / "nowhere.py") is None
