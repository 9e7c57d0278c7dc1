"""Comparisons through REST and on the page: the engine's figures, drawn so that everybody can read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from starlette.testclient import TestClient

from hub.engine.compare import Comparison, compare, figures
from hub.engine.differences import Pair
from hub.hub import Hub
from hub.spec import Json, Labels
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui.compare import Compare
from hub.web.parts import comparison as compare_html
from tests import two_weights
from tests.served import run_async
from tests.web.doors import app_of

COMPARE = "/api/v1/demos/pair/compare"
VISITOR: Any = SimpleNamespace(request=None, cookies={}, session_hash="tab")


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_weights.write(tmp_path_factory.mktemp("two"))


@pytest.fixture(scope="module")
def hub(photo: Path) -> Iterator[Hub]:
    made = two_weights.make_hub(photo.parent)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(hub: Hub) -> TestClient:
    return TestClient(app_of(hub))


@pytest.fixture(scope="module")
def found(hub: Hub, photo: Path) -> Comparison:
    return compare(hub.engine, "pair", {"image": photo, "seed": 7, "best": "eel"})


# --- REST -----------------------------------------------------------------------------------------


def test_rest_answers_both_runs_and_the_engines_figures(client: TestClient, photo: Path, found: Comparison) -> None:
    given = {"seed": "7", "best": "eel", "weights_a": "one", "weights_b": "two"}
    answer = client.post(COMPARE, files={"image": photo.read_bytes()}, data=given)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert {key: body[key] for key in ("rows", "pictures", "notes")} == two_weights.plain(figures(found))
    for side, result in (("a", found.a), ("b", found.b)):
        stored = client.get(f"/api/v1/results/{result.id}").json()
        assert {k: v for k, v in body[side].items() if k != "receipt"} == {
            k: v for k, v in stored.items() if k != "receipt"
        }
        assert body[side]["receipt"]["weights"] == {"a": "one", "b": "two"}[side]
        assert client.get(body[side]["outputs"]["painted"]).content == result.pictures["painted"][0].data
    swapped = client.post(COMPARE, files={"image": photo.read_bytes()}, data={"seed": "7", "weights_a": "two"}).json()
    assert [swapped[side]["receipt"]["weights"] for side in "ab"] == ["two", "one"]


@pytest.mark.parametrize(
    ("path", "given", "status", "field"),
    [
        (COMPARE, {"weights_a": "two", "weights_b": "two"}, 422, "weights_b"),
        (COMPARE, {"weights_b": 5}, 422, "weights_b"),
        (COMPARE, {"weights": "one"}, 422, "weights"),
        (COMPARE, {"weights_b": "gone"}, 503, None),
        ("/api/v1/demos/single/compare", {}, 422, "weights_b"),
        ("/api/v1/demos/pear/compare", {}, 404, None),
    ],
)
def test_rest_refuses_what_cannot_be_compared(
    client: TestClient, path: str, given: dict[str, Any], status: int, field: str | None, photo: Path
) -> None:
    import base64

    answer = client.post(path, json={"image": base64.b64encode(photo.read_bytes()).decode(), **given})
    assert (answer.status_code, answer.json().get("field")) == (status, field), answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_the_openapi_document_has_it_where_there_are_two_sets(client: TestClient, photo: Path) -> None:
    assert client.get(COMPARE).status_code == 405
    document = client.get("/api/v1/openapi.json").json()
    OpenAPI.model_validate(document)
    assert "/api/v1/demos/single/compare" not in document["paths"]
    operation = document["paths"][COMPARE]["post"]
    body = operation["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert list(body) == ["image", "best", "kept", "seed", "least", "weights_a", "weights_b"]
    assert body["weights_b"] == {
        "type": "string", "title": "Weights B", "enum": ["one", "two", "gone"], "default": "two"
    }  # fmt: skip
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    answer = client.post(COMPARE, files={"image": photo.read_bytes()}).json()
    assert set(schema["required"]) == set(answer)
    for key in ("rows", "pictures"):
        component = schema["properties"][key]["items"]["$ref"].rpartition("/")[2]
        assert set(document["components"]["schemas"][component]["required"]) == set(answer[key][0])
    assert set(schema["properties"]["a"]["required"]) == set(answer["a"]) - {"captions"}


# --- the page -------------------------------------------------------------------------------------


def test_only_a_page_with_two_sets_has_it(hub: Hub) -> None:
    async def build() -> dict[str, Any]:  # in a loop: outside of one, Gradio makes loops that it never closes
        return dict(gradio_ui.build(hub).config)

    config = run_async(build())
    drawn = [c["props"] for c in config["components"]]
    assert sum(props.get("label") == "Compare weights" for props in drawn) == 1
    assert sum(props.get("value") == "Run A and B" for props in drawn) == 1
    assert [props["value"] for props in drawn if props.get("label") in ("A", "B")] == ["one", "two"]
    names = {event["api_name"] for event in config["dependencies"]}
    assert "pair_compare" in names
    assert "single_compare" not in names


@pytest.fixture
def page(hub: Hub, tmp_path: Path) -> Compare:
    pages = gradio_ui._Pages(hub)
    return Compare(hub, pages.threads, tmp_path, hub.registry.get("pair"))


def updates(page: Compare, *values: Any) -> list[list[Any]]:
    async def collect() -> list[list[Any]]:
        return [update async for update in page.run(VISITOR, *values)]

    return run_async(collect())


def test_a_run_ends_with_the_pictures_the_numbers_and_both_receipts(
    page: Compare, photo: Path, found: Comparison
) -> None:
    *_, last = updates(page, "one", "two", "one", photo, "eel", [], "7", 0.5)
    stop, head, above, slider, _, photos, heat, hidden, answer = last
    assert stop["visible"] is False
    assert "so B ran with &#39;off&#39;" in head
    assert "First &lt;b&gt;set&lt;/b&gt;" in head
    assert "25.0 % of the pixels differ." in above
    assert "painted by one, left" in above
    files = [Path(file).read_bytes() for file in slider["value"]]
    assert files == [result.pictures["painted"][0].data for result in (found.a, found.b)]
    assert photos["visible"] is True
    assert hidden["visible"] is False, "one picture alone has no slider"
    assert "Only B has this picture." in heat
    assert f'src="api/v1/results/{found.b.id}/heat"' in heat
    for result in (found.a, found.b):
        assert f'href="api/v1/results/{result.id}"' in answer
        assert f"sha256 <code>{result.receipt.digest[:12]}</code>" in answer
    assert answer.count("hub-receipt") == 2
    assert "<b>set" not in answer


@pytest.mark.parametrize(
    ("shown", "least", "limits"), [("one", 0.5, [0.5, 0.25]), ("two", 0.25, [0.5, 0.25]), ("two", 0.5, [0.5, 0.5])]
)
def test_a_number_that_stands_where_the_pages_weights_start_is_each_sets_own(
    shown: str, least: float, limits: list[float], page: Compare, photo: Path
) -> None:
    *_, (_, head, *_, answer) = updates(page, "one", "two", shown, photo, "off", [], "7", least)
    assert ("each set has its own value" in head) == (limits[0] != limits[1])
    assert re.findall(r"at or above the line at (\S+) %", answer) == [f"{100 * limit}" for limit in limits]


def test_what_is_wrong_is_told_where_it_was_asked_for(page: Compare, photo: Path) -> None:
    *_, (stop, told, *rest) = updates(page, "one", "one", "one", photo, "off", [], "", 0.5)
    assert stop["visible"] is False
    assert "weights_a and weights_b are both" in told
    assert all("value" not in update for update in rest), "what was there stays"


def test_numbers_have_signs_and_what_one_side_has_alone_stands_apart(hub: Hub, found: Comparison) -> None:
    demo, titles = hub.registry.get("pair").demo, ("First", "two")
    fields = {f.name: f for f in demo.outputs if isinstance(f, Labels | Json)}
    shares = compare_html.numbers(demo, fields["shares"], found, titles)
    assert shares.index("+40.0") < shares.index("\N{MINUS SIGN}5.0")
    line, rest = shares.split('<table class="hub-table hub-diff">')
    assert "Limit" in line and "Limit" not in rest, "the line is not one of the labels"
    assert "1 of 3 at or above the line at 50.0 %" in line, "labels that both have count, too"
    assert "2 of 3 at or above the line at 25.0 %" in line
    assert "at or above" not in rest
    table, lists = rest.split('<div class="hub-pair">')
    assert lists.count("--hub-at:") == 2, "the line is drawn through what each has alone"
    assert "eel" not in table and "fox" not in table
    assert lists.index("eel") < lists.index("fox")
    rows = compare_html.numbers(demo, fields["rows"], found, titles)
    assert 'style="background:#ff0000"' in rows
    assert "60.0 %" in rows
    facts = compare_html.numbers(demo, fields["facts"], found, titles)
    assert "2 that are the same" in facts
    assert "&#34;off&#34;" in facts, "what is not a number is shown as it is"
    words = compare_html.numbers(demo, fields["words"], found, titles)
    assert "&#34;one&#34;" in words and "&#34;two&#34;" in words
    same = replace(found, b=found.a, rows=())
    assert "The same from both." in compare_html.numbers(demo, fields["words"], same, titles)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ((0.0, True, 100), "0"),
        ((0.4, True, 100), "+40.0"),
        ((-0.0003, True, 100), "\N{MINUS SIGN}0.03"),
        ((-1234.5,), "\N{MINUS SIGN}1234.5"),
        ((2,), "+2"),
    ],
)
def test_no_difference_that_is_there_looks_like_none(given: tuple[Any, ...], text: str) -> None:
    assert compare_html.sign_number(*given) == text


def test_a_share_of_pixels_is_told_in_words() -> None:
    def told(differ: float, levels: int = 0) -> str:
        return compare_html.say_difference(Pair("p", 0, differ, levels, "", None, None))

    assert told(0.0) == "No pixels differ."
    assert told(0.0001) == "Less than 0.1 % of the pixels differ."
    assert told(0.25, 8) == "25.0 % of the pixels differ by more than 8 of 255."
