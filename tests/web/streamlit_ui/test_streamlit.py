"""The Streamlit pages by Streamlit's own test harness, over the same fake demos as the REST door."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import streamlit
from fastapi import FastAPI
from streamlit.testing.v1 import AppTest

from hub.archive.corrections.store import Wanted
from hub.archive.first_answers import FirstAnswers
from hub.errors import CancelledError
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.settings import Settings
from hub.spec import Example, ImageInput, Json, Slider, Text, Weights
from hub.web.middleware import guard, sessions
from hub.web.streamlit_ui import host as streamlit_host
from hub.web.streamlit_ui import mount as streamlit_mount
from hub.web.streamlit_ui import run as streamlit_run
from hub.web.streamlit_ui import similar as streamlit_similar
from hub.web.streamlit_ui.inputs import Values
from hub.web.streamlit_ui.text import escape_markdown
from tests.fakes import Calls, picky_demo, shade_demo, steps_demo, write_weights
from tests.served import ROOT, run_async
from tests.web.doors import SHADES, png

PATIENCE_S = 60


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("hub")
    (folder / "grey.png").write_bytes(png(colour="grey"))
    write_weights(folder / "weights", "cars", {"label_names": ["saloon", "van"], "least": 0.3}, b"1")
    write_weights(folder / "weights", "trees", {"label_names": ["oak", "van"], "least": 0.7}, b"2")
    weighted = shade_demo(
        title="Weighted *light*",
        inputs=(ImageInput("image", "Photo"), Slider("level", "Level", 0.0, 1.0, 0.5, 0.05, default_from="least")),
        weights=(Weights("cars", "Of cars"), Weights("trees")),
        examples=(Example({"image": "grey.png"}, "A grey square"),),
    )
    optional = shade_demo(
        inputs=(ImageInput("image", "Photo", optional=True), Text("prompt", "Prompt", default="hi", lines=1)),
        outputs=(Json("said", "Said"),),
        prepare=lambda prompt, image=None: 0.0,
        infer=lambda model, items: items,
        present=lambda output, prompt, image=None: {"said": f"{prompt}, {image and image.size}"},
    )
    demos = {
        "shades": SHADES,
        "optional": optional,
        "picky": picky_demo(),
        "weighted": weighted,
        "steps": steps_demo(Calls()),
    }
    pages = {slug: Page(slug, "a test", folder, declared=demo) for slug, demo in demos.items()}
    pages["broken"] = Page("broken", "a test", folder, error="broken.py cannot be imported")
    settings = Settings(
        data=str(folder / "data"), device="cpu", dtype="float32", weights_folder=str(folder / "weights")
    )
    made = Hub(settings, Registry(pages))
    streamlit_host.use(made)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def a_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness has no requests, and so no cookies; tests/e2e/test_streamlit.py has."""
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")
    monkeypatch.setattr(FirstAnswers, "get", lambda self, page: None)  # made in an idle moment, whenever that is


def opened(slug: str, **query: str | list[str]) -> AppTest:
    """A demo's page at an address with these values."""

    def script(slug: str) -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get(slug), "http://hub.test")

    page = AppTest.from_function(script, kwargs={"slug": slug}, default_timeout=PATIENCE_S)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def press(page: AppTest, label: str) -> AppTest:
    (button,) = [b for b in page.button if b.label == label]
    page = button.click().run()
    assert not page.exception
    return page


def upload(page: AppTest, data: bytes) -> AppTest:
    return page.file_uploader[0].set_value(("photo.png", data, "image/png")).run()


def words(element: Any) -> str:
    """A text as people see it."""
    return str(element.value).replace("\\", "")


def outcome(page: AppTest, slug: str) -> Any:
    return page.session_state[slug].outcome


@pytest.mark.slow
def test_the_gallery_links_every_demo_and_a_broken_one_is_no_trouble(hub: Hub) -> None:
    home = AppTest.from_file(str(ROOT / "streamlit_app.py"), default_timeout=PATIENCE_S).run()
    assert not home.exception
    assert [t.value for t in home.title] == ["Try the models"]
    links = [link.proto.page for link in home.get("page_link")]
    assert links == list(hub.registry.pages)
    broken = opened("broken")
    assert "broken.py cannot be imported" in words(broken.error[0])


def test_a_result_of_another_door_is_a_hit_and_all_its_outputs_are_shown(hub: Hub) -> None:
    given = {"image": png(colour="white"), "threshold": 0.25, "count": 3, "view": "back", "seed": "7"}
    first = hub.engine.run("shades", given)
    page = upload(opened("shades"), png(colour="white"))
    page.slider[0].set_value(0.25)
    page.slider[1].set_value(3)
    page.radio[0].set_value("back")
    page.text_input[0].set_value("7")
    page = press(page, "Run")
    result = outcome(page, "shades")
    assert isinstance(result, Result)
    assert (result.id, result.receipt.cached) == (first.id, False), "nobody is told that another ran it before"
    page = press(page, "Run")
    assert outcome(page, "shades").receipt.cached
    assert any("answered before, shown again" in text.value for text in page.markdown)  # in the receipt
    assert page.success[0].value == "**Light 100\N{NO-BREAK SPACE}%**"
    assert "Seed: **7**" in " ".join(m.value for m in page.markdown)
    names = [button.proto.label for button in page.get("download_button")]
    assert names == ["Download"] * 5 + ["Result as JSON"], "picture, mask, three copies"
    (table,) = page.dataframe
    assert table.value.to_dict("records") == [{"view": "back", "seed": 7, "percent": 50.0}]
    chart = page.get("vega_lite_chart")[0].proto
    assert chart.alt == "light 100.0 %, dark 0.0 %"


def test_wrong_input_is_told_in_the_words_of_every_door(hub: Hub) -> None:
    page = press(opened("shades"), "Run")
    assert "is missing: give a picture" in words(page.error[0])
    page = upload(page, b"no picture at all")
    assert "JPEG, PNG" in words(page.error[0]), "told at once, before it is run"
    page = press(page, "Run")
    assert "The format is not supported" in words(page.error[1])
    page = upload(page, png())
    page.text_input[0].set_value("-5")
    assert "Seed must be a whole number from 0" in words(press(page, "Run").error[0])


def test_an_example_runs_in_a_click_and_takes_its_values(hub: Hub) -> None:
    page = press(opened("shades"), "A grey square")
    assert page.slider[0].value == 0.2
    assert outcome(page, "shades").capsule["parameters"]["threshold"] == 0.2
    assert not page.error


def test_an_address_fills_in_what_it_can_and_says_what_it_cannot(hub: Hub) -> None:
    page = opened("shades", example="1", threshold="0.75", count="9", veiw="back")
    assert page.slider[0].value == 0.75
    told = words(page.warning[0])
    assert "count must be between 1 and 4 pictures, got 9" in told
    assert "Did you mean 'view'?" in told
    page.slider[0].set_value(0.5)
    page = press(page, "Run")
    assert page.slider[0].value == 0.5, "the address is read once"
    assert outcome(page, "shades").capsule["parameters"]["threshold"] == 0.5


@pytest.mark.slow
def test_the_address_follows_what_is_filled_in_and_fills_it_in_again(hub: Hub) -> None:
    page = press(opened("shades", lang="en"), "A grey square")
    assert page.query_params == {"lang": "en", "example": "1"}
    page.slider[0].set_value(0.75)
    page = press(page, "Run")
    assert page.query_params == {"lang": "en", "example": "1", "threshold": "0.75"}
    again = opened("shades", **page.query_params)
    assert again.slider[0].value == 0.75 and again.session_state["shades"].values.pictures
    page = upload(page, png(colour="white"))
    assert page.query_params == {"lang": "en", "threshold": "0.75"}, "no address can hold an upload"
    page = opened("weighted").radio[0].set_value("trees").run()
    assert page.query_params == {"weights": "trees"}, "its number is the weights' own"


@pytest.mark.slow
def test_a_page_opens_with_its_first_answer_once_there_is_one(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    result = outcome(press(opened("shades"), "A grey square"), "shades")
    monkeypatch.setattr(FirstAnswers, "get", lambda self, page: result)
    page = opened("shades")
    assert outcome(page, "shades").id == result.id and page.slider[0].value == 0.2
    assert not page.query_params
    assert outcome(opened("shades", threshold="0.75"), "shades") is None, "an address has its own values"


@pytest.mark.slow
def test_choices_optional_outputs_and_the_line_through_labels(hub: Hub) -> None:
    page = upload(opened("picky"), png(colour="white"))
    page = press(page, "Run")
    assert outcome(page, "picky").capsule["parameters"]["paints"] == ["red", "blue"]
    assert {"Painted", "Photo"} <= {tab.label for tab in page.tabs}, "a picture beside what it was made from"
    assert json.loads(page.json[0].value) == {"paints": ["red", "blue"]}
    assert any("3 of 3 at or above the line at 25.0 %" in words(c) for c in page.caption)
    page.pills[0].set_value([])
    page.radio[0].set_value("little")
    page = press(page, "Run")
    assert "Painted" not in [tab.label for tab in page.tabs]
    assert not page.json


@pytest.mark.slow
def test_text_and_steps_run_and_other_weights_are_a_choice(hub: Hub) -> None:
    page = opened("steps")
    page.text_area[0].set_value("hello")
    page.text_input[0].set_value("3")
    page = press(page, "Run")
    assert page.text[0].value == "hello 3"
    page = upload(opened("weighted", weights="trees"), png())
    assert page.title[0].value == escape_markdown("Weighted *light*")
    assert outcome(press(page, "Run"), "weighted").capsule["weights"] == "trees"


@pytest.mark.slow
def test_a_number_of_the_weights_moves_when_others_are_chosen(hub: Hub) -> None:
    page = opened("weighted", weights="trees")
    assert page.slider[0].value == 0.7
    page.slider[0].set_value(0.1)
    page = page.radio[0].set_value("cars").run()
    assert page.slider[0].value == 0.3
    page.radio[0].set_value("trees").run()
    capsule = outcome(press(page, "A grey square"), "weighted").capsule
    assert (capsule["weights"], capsule["parameters"]["level"]) == ("cars", page.slider[0].value) == ("cars", 0.3)


@pytest.mark.slow
def test_an_optional_picture_may_be_left_out_and_taken_away_again(hub: Hub) -> None:
    page = press(opened("optional"), "Run")
    assert page.text[0].value == "hi, None"
    page = press(upload(page, png()), "Run")
    assert page.text[0].value == "hi, (24, 16)"
    page = press(press(page, "Without it"), "Run")
    assert page.text[0].value == "hi, None"


def test_a_result_is_shared_and_taken_back(hub: Hub) -> None:
    page = press(opened("shades"), "A grey square")
    page = press(page, "Share")
    (note,) = [area for area in page.text_area if area.label == "Note"]
    note.set_value("for Monday")
    page = press(page, "Save")
    address = next(code.value for code in page.code if code.value.startswith("http://hub.test/r/"))
    id = address.rsplit("/", 1)[1]
    link, document = hub.sharing.links.read(id)
    assert (link.note, document["result"]) == ("for Monday", outcome(page, "shades").id[:12])
    again = opened("shades", link=id)
    assert "as in the shared result" in words(again.info[0])
    assert again.slider[0].value == 0.2
    page = press(page, "Share")  # the first is now one of the others
    (end,) = [b for b in page.button if b.label == "Take back"]
    assert end.key == f"end/{id}"
    end.click().run()
    assert hub.sharing.links.all(page="shades")[1].state(time.time()) == "revoked"


def test_similar_pictures_stand_below_all_that_can_be_clicked(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    """They may come a minute after the answer, and would push a button away from under the pointer."""
    monkeypatch.setattr(streamlit_similar, "draw_row", lambda *_: streamlit.text("a row of pictures"))
    page = press(opened("shades"), "A grey square")
    order = [
        (one.type, one.label if one.type == "button" else one.value)
        for one in page.main
        if one.type in ("button", "text")
    ]
    assert order.index(("button", "Share")) < order.index(("text", "a row of pictures"))


def test_a_run_that_no_page_follows_any_more_is_cancelled(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamlit_run, "PATIENCE_S", 0.2)
    calls = Calls()
    slow = Page("slow", "a test", hub.registry.get("steps").assets, declared=steps_demo(calls, steps=10**9))
    hub.registry.pages["slow"] = slow
    values = Values({"prompt": "on and on", "seed": "1"})
    job = streamlit_run.start(streamlit_host.current(), slow, values.all())
    assert job.future is not None
    assert isinstance(job.future.exception(PATIENCE_S), CancelledError)


def test_another_sites_page_cannot_open_a_session_and_nothing_is_imported_for_it(hub: Hub) -> None:
    mounted, told = streamlit_mount.Mounted(hub), list[Any]()
    app = FastAPI()
    mounted.add_to(app)

    async def send(message: Any) -> None:
        told.append(message)

    headers = [(b"host", b"127.0.0.1:7860"), (b"origin", b"http://elsewhere.example")]
    scope = {"type": "websocket", "path": "/streamlit/_stcore/stream", "headers": headers}
    run_async(guard.Guard(app, hub)(scope, None, send))  # type: ignore[arg-type]
    assert [message["type"] for message in told] == ["websocket.close"]
    assert mounted._app is None


def test_the_start_of_the_hub_does_not_import_streamlit() -> None:
    code = "import hub.web.streamlit_ui.mount, sys; sys.exit('streamlit' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=100, check=True)


@pytest.mark.slow
def test_an_answer_is_called_wrong_with_what_is_right(hub: Hub) -> None:
    page = press(upload(opened("shades"), png(colour="maroon")), "Run")
    result = outcome(page, "shades")
    (right,) = [one for one in page.selectbox if one.label == "Shares"]
    right.select("light")
    page.text_area[0].set_value("It *is* light")
    press(page, "Send")
    assert "verdict must be right or wrong" in words(page.error[0]), "nothing was chosen yet"
    (verdict,) = [one for one in page.radio if one.label == "Is it right?"]
    verdict.set_value("wrong")
    (keep,) = [one for one in page.checkbox if one.label.startswith("The picture may be kept")]
    keep.check()
    page = press(page, "Send")
    assert [words(one) for one in page.success if "Thank you" in words(one)], [words(one) for one in page.error]
    (kept,) = [one for one in hub.corrections.store.all(Wanted(page="shades")) if one.target == result.id]
    assert (kept.verdict, kept.value, kept.note) == ("wrong", {"shares": "light"}, "It *is* light")
    assert kept.pictures == ("image",)
