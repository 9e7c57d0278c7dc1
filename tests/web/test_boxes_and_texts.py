"""Boxes, texts, numbers and switches through every door: one run, and the same answer from each."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from PIL import Image
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from hub.cli import show
from hub.cli.files import OutFolder
from hub.cli.remote_hub import declared
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.settings import Settings
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui import fields
from hub.web.gradio_ui.live import Live
from hub.web.gradio_ui.similar import draw_result
from hub.web.mcp import tools
from hub.web.middleware import sessions
from hub.web.streamlit_ui import host as streamlit_host
from tests.fakes import HOSTILE, STRIPES, boxes_demo, picture
from tests.served import run_async
from tests.web.doors import app_of

SLUG = "stripes"
RUN = f"/api/v1/demos/{SLUG}"


def photo() -> bytes:
    file = io.BytesIO()
    picture(600, 400).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("stripes")
    settings = Settings(device="cpu", dtype="float32", data=str(folder / "data"))
    made = Hub(settings, Registry({SLUG: Page(SLUG, "a test", folder, declared=boxes_demo())}))
    streamlit_host.use(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(hub: Hub) -> TestClient:
    app = app_of(hub)
    app.add_middleware(sessions.SessionCookie, hub=hub)
    return TestClient(app, base_url="http://hub.example", cookies={sessions.COOKIE: "s" * 32})


def ask(client: TestClient, **values: Any) -> dict[str, Any]:
    answer = client.post(RUN, files={"image": photo()}, data=values)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def answered(client: TestClient) -> dict[str, Any]:
    return ask(client)


@pytest.fixture(scope="module")
def result(hub: Hub, answered: dict[str, Any]) -> Result:
    stored = hub.results.get(answered["id"])
    assert stored is not None
    return stored


# --- REST -----------------------------------------------------------------------------------------


def test_boxes_come_in_pixels_of_the_picture_clipped_to_it_and_texts_as_they_are(answered: dict[str, Any]) -> None:
    found = answered["outputs"]["stripes"]
    assert (found["width"], found["height"]) == (600, 400)
    assert found["boxes"][0] == {"label": STRIPES[0], "score": 1.0, "x0": 0.0, "y0": 40.0, "x1": 150.0, "y1": 400.0}
    assert [box["score"] for box in found["boxes"]] == [1.0, 0.5, 0.25]
    assert answered["outputs"]["words"] == f"3 stripes\n{HOSTILE}[31m", "what a terminal would act on is gone"
    assert answered["headline"] == f"2 × {STRIPES[0]}, 1 × thin"


def test_a_picture_with_boxes_and_a_legend_is_drawn_and_the_plain_one_kept(
    client: TestClient, answered: dict[str, Any]
) -> None:
    found = answered["outputs"]["stripes"]
    drawn, plain = (Image.open(io.BytesIO(client.get(found[name]).content)) for name in ("picture", "plain"))
    assert plain.size == (600, 400)
    assert drawn.width == 600 and drawn.height > 400
    base = f"/api/v1/results/{answered['id']}/stripes"
    fewer = Image.open(io.BytesIO(client.get(f"{base}?format=picture&min_score=0.6").content))
    assert fewer.getpixel((500, 100)) == plain.getpixel((500, 100)) or fewer.size == drawn.size
    assert client.get(f"{base}?min_score=0.4").json()["boxes"] == found["boxes"][:2]


def test_boxes_are_exported_as_coco(client: TestClient, answered: dict[str, Any]) -> None:
    answer = client.get(f"/api/v1/results/{answered['id']}/stripes?format=coco&min_score=0.4")
    assert answer.headers["content-disposition"].startswith("attachment")
    coco = answer.json()
    assert coco["images"] == [{"id": 1, "width": 600, "height": 400, "file_name": f"{answered['id'][:8]}-stripes.jpg"}]
    assert [entry["name"] for entry in coco["categories"]] == sorted(STRIPES)
    first, second = coco["annotations"]
    assert first["bbox"] == [0.0, 40.0, 150.0, 360.0] and first["area"] == 54000
    assert second["category_id"] == 2 and second["score"] == 0.5 and second["image_id"] == 1


@pytest.mark.parametrize(
    ("query", "field"), [("format=xml", "format"), ("min_score=2", "min_score"), ("min_score=nan", "min_score")]
)
def test_another_form_is_refused(client: TestClient, answered: dict[str, Any], query: str, field: str) -> None:
    answer = client.get(f"/api/v1/results/{answered['id']}/stripes?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"count": "1001"}, "count must be between 1 and 1000, got 1001."),
        ({"count": "2.5"}, "count must be a whole number between 1 and 1000, got 2.5."),
        ({"wide": "perhaps"}, "wide must be true or false, got 'perhaps'."),
    ],
)
def test_numbers_and_switches_are_checked(client: TestClient, values: dict[str, str], told: str) -> None:
    answer = client.post(RUN, files={"image": photo()}, data=values)
    assert (answer.status_code, answer.json()["detail"]) == (422, told)


def test_the_openapi_document_and_the_description_have_the_fields(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    OpenAPI.model_validate(document)
    body = document["paths"][RUN]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert body["count"] == {"title": "Stripes", "type": "integer", "minimum": 1, "maximum": 1000, "default": 3}
    assert body["wide"] == {"title": "Wide", "type": "boolean", "default": False}
    detail = client.get(RUN).json()
    assert [entry["type"] for entry in detail["outputs"]] == ["boxes", "text", "text"]
    assert detail["outputs"][1]["schema"]["contentMediaType"] == "text/markdown"
    assert [type(field).__name__ for field in declared(detail).outputs] == ["Boxes", "TextOutput", "TextOutput"]


# --- pages ----------------------------------------------------------------------------------------


def check_escaped(html: str) -> None:
    """Nothing that a model wrote is HTML."""
    assert HOSTILE not in html
    assert "javascript:alert" not in re.sub(r">[^<]*<", "><", html), "no link leads there"
    assert "elsewhere" not in html, "no picture is fetched from elsewhere"


def test_gradio_draws_boxes_over_the_picture_with_a_slider_and_texts_safely(
    hub: Hub, result: Result, tmp_path: Path
) -> None:
    boxes, notes, words = (
        update["value"] for update in fields.fill_outputs(hub.registry.get(SLUG).demo, result, tmp_path, {})
    )
    assert boxes.count('class="hub-box"') == 3
    assert f'src="api/v1/results/{result.id}/stripes/1"' in boxes
    assert 'type="range"' in boxes and "Download as COCO" in boxes
    assert "<strong>3</strong>" in notes
    assert "<details" in words
    for html in (boxes, notes, words, draw_result(result, hub.registry.get(SLUG).demo)):
        check_escaped(html)


def test_gradio_client_gets_boxes_and_texts_as_json(hub: Hub, result: Result, tmp_path: Path) -> None:
    found, notes, words = fields.fill_api_outputs(hub.registry.get(SLUG).demo, result, tmp_path)
    assert found == result.values["stripes"]
    assert notes.startswith("**3** stripes") and words.startswith("3 stripes")

    async def build() -> dict[str, Any]:
        return dict(gradio_ui.build(hub).config)

    assert any(event["api_name"] == SLUG for event in run_async(build())["dependencies"])


def test_live_frames_are_shown_with_their_boxes(hub: Hub, result: Result) -> None:
    live = Live(hub, None, hub.registry.get(SLUG), ["image"])
    (field, *_) = live.demo.outputs
    assert live.draw_view(field, result)["value"] is result.pictures["stripes"][0]  # type: ignore[arg-type]
    check_escaped(live.draw_panels(result))


def test_streamlit_draws_boxes_anew_below_its_slider(hub: Hub, result: Result) -> None:
    def script(id: str) -> None:
        from hub.web.streamlit_ui import host as streamlit_host
        from hub.web.streamlit_ui import outputs as streamlit_outputs

        hub = streamlit_host.current().hub
        result = hub.results.get(id)
        assert result is not None
        streamlit_outputs.show(hub.registry.get("stripes").demo, result, {})

    page = AppTest.from_function(script, kwargs={"id": result.id}, default_timeout=60).run()
    assert not page.exception
    assert "3 of 3 boxes" in [expander.label for expander in page.expander]
    page = page.slider[0].set_value(40).run()
    assert not page.exception
    assert "2 of 3 boxes" in [expander.label for expander in page.expander]
    assert len(page.dataframe[0].value) == 2


def test_streamlit_asks_for_numbers_and_switches(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")

    def script() -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get("stripes"), "http://hub.test")

    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    assert (page.number_input[0].value, page.toggle[0].value) == (3, False)


# --- shared, kept, compared -----------------------------------------------------------------------


def test_a_shared_result_has_boxes_and_texts_without_the_model(client: TestClient, answered: dict[str, Any]) -> None:
    made = client.post(f"/api/v1/results/{answered['id']}/links", json={})
    assert made.status_code == 201, made.text
    page = client.get(f"/r/{made.json()['id']}").text
    assert page.count('class="hub-box"') == 3
    picture = re.search(r'<img src="([^"]+out-stripes-1\.jpg)"', page)
    assert picture and client.get(f"/r/{picture[1]}").status_code == 200
    assert "<strong>3</strong>" in page
    check_escaped(page)


def test_the_history_shows_a_run_and_compares_two_by_their_counts(client: TestClient, answered: dict[str, Any]) -> None:
    ask(client, count="5", wide="yes")
    b, a = (run["id"] for run in client.get("/api/v1/history").json()["runs"])
    page = client.get(f"/history?run={a}").text
    assert page.count('class="hub-box"') == 3
    assert client.get(f"/api/v1/history/{a}/thumbnail").headers["content-type"] == "image/webp"
    compared = client.get(f"/api/v1/history/compare?a={a}&b={b}").json()
    rows = {row["name"]: (row["a"], row["b"]) for row in compared["rows"]}
    assert rows == {STRIPES[0]: (2, 3), "thin": (1, 2)}
    (pair,) = compared["pictures"]
    assert pair["output"] == "stripes"
    beside = client.get(f"/history?a={a}&b={b}").text
    assert beside.count("/stripes/0") >= 2, "both are drawn with their boxes"
    for html in (page, beside):
        check_escaped(html)


# --- agents and the command line ------------------------------------------------------------------


def test_agents_get_boxes_as_data_and_one_picture_with_them(hub: Hub, result: Result) -> None:
    page = hub.registry.get(SLUG)
    answer = tools.answer(result, page, "http://hub.example")
    structured: Any = answer.structured_content
    assert structured["outputs"]["stripes"]["boxes"] == result.values["stripes"]["boxes"]
    assert [entry["url"] for entry in structured["pictures"]] == [
        f"http://hub.example/api/v1/results/{result.id}/stripes/0"
    ]
    schema: Any = tools.tool(hub, page, files=False).output_schema
    assert set(schema["properties"]["outputs"]["properties"]) == {"stripes", "notes", "words"}


def test_the_command_line_prints_and_saves_them(hub: Hub, result: Result, tmp_path: Path) -> None:
    demo, out = hub.registry.get(SLUG).demo, io.StringIO()
    paths = OutFolder(tmp_path, force=False).save(result, "photo")
    assert [path.name for path in paths["stripes"]] == ["photo-stripes.jpg"]
    show.show(show.console(out), demo, result, paths, "")
    assert "thin" in out.getvalue() and "photo-stripes.jpg" in out.getvalue() and "**3** stripes" in out.getvalue()
    document = json.loads(json.dumps(show.document(demo, result, paths)))
    assert document["outputs"]["stripes"]["file"].endswith("photo-stripes.jpg")
    assert len(document["outputs"]["stripes"]["boxes"]) == 3
