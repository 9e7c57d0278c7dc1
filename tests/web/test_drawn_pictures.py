"""What is drawn on a picture, through every door: one run, and the same answer from each."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from PIL import Image
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from hub.cli import call as cli_call
from hub.cli import run as cli_run
from hub.cli.remote_hub import declared
from hub.contract import rules
from hub.contract.rules import RULES, Case
from hub.errors import InputError
from hub.hub import Hub
from hub.jobs.reading import picture_input
from hub.pages.kinds import asked_first, runs_at_once
from hub.pages.registry import Page, Registry
from hub.settings import Settings
from hub.web.gradio_ui import app as gradio_ui
from hub.web.gradio_ui.live import can_be_live
from hub.web.mcp import tools
from hub.web.middleware import sessions
from hub.web.parts import filled, snippets
from hub.web.streamlit_ui import host as streamlit_host
from tests.drawn_pages import drawn_demo
from tests.fakes import picture
from tests.served import PATIENT, run_async
from tests.web.doors import app_of

pytestmark = pytest.mark.slow

DEMOS = {"boxed": drawn_demo("box"), "pointed": drawn_demo("points"), "painted": drawn_demo("mask")}
BOXES, POINTS = [[10, 20, 300, 200]], [[30, 40], [5, 6, 0]]
ANSWERS: dict[str, dict[str, Any]] = {
    "boxed": {"size": [600, 400], "boxes": [[10, 20, 300, 200]], "points": []},
    "pointed": {"size": [600, 400], "boxes": [], "points": [[30, 40, True], [5, 6, False]]},
    "painted": {"size": [600, 400], "boxes": [], "points": [], "painted": 5000, "around": [100, 50, 200, 100]},
}
SLUGS = [*DEMOS]


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def mask() -> Image.Image:
    painted = Image.new("L", (600, 400))
    painted.paste(255, (100, 50, 200, 100))
    return painted


PHOTO, MASK = png(picture(600, 400)), png(mask())
HINTS: dict[str, tuple[str, Any]] = {
    "boxed": ("photo_boxes", BOXES),
    "pointed": ("photo_points", POINTS),
    "painted": ("photo_mask", MASK),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("drawn")
    settings = Settings(device="cpu", dtype="float32", data=str(folder / "data"))
    pages = {slug: Page(slug, "a test", folder, declared=demo) for slug, demo in DEMOS.items()}
    made = Hub(settings, Registry(pages))
    streamlit_host.use(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(hub: Hub) -> TestClient:
    app = app_of(hub)
    app.add_middleware(sessions.SessionCookie, hub=hub)
    return TestClient(app, base_url="http://hub.example", cookies={sessions.COOKIE: "s" * 32})


def form(slug: str) -> dict[str, Any]:
    """The files and fields of a run, as a form has them."""
    name, value = HINTS[slug]
    files = {"photo": PHOTO, **({name: value} if isinstance(value, bytes) else {})}
    return {"files": files, "data": {} if isinstance(value, bytes) else {name: json.dumps(value)}}


def ask(client: TestClient, slug: str, **more: Any) -> dict[str, Any]:
    sent = form(slug)
    answer = client.post(f"/api/v1/demos/{slug}", files=sent["files"], data={**sent["data"], **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


# --- REST -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_a_form_and_a_json_body_give_prepare_the_same(client: TestClient, slug: str) -> None:
    answered = ask(client, slug)
    assert answered["outputs"]["drawn"] == ANSWERS[slug]
    name, value = HINTS[slug]
    body = {"photo": base64.b64encode(PHOTO).decode(), "level": 0}
    body[name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
    again = client.post(f"/api/v1/demos/{slug}", json=body)
    assert again.status_code == 200, again.text
    assert again.json()["id"] == answered["id"] and again.json()["receipt"]["cached"]


@pytest.mark.parametrize("slug", SLUGS)
def test_another_drawing_is_another_result(client: TestClient, slug: str) -> None:
    before = ask(client, slug)["id"]
    name, value = HINTS[slug]
    other = Image.open(io.BytesIO(MASK)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    sent: Any = {"files": {"photo": PHOTO, name: png(other)}} if isinstance(value, bytes) else {
        "files": {"photo": PHOTO}, "data": {name: json.dumps(value[:1] and [[1, 2, *value[0][2:]]])},
    }  # fmt: skip
    answer = client.post(f"/api/v1/demos/{slug}", **sent)
    assert answer.status_code == 200, answer.text
    assert answer.json()["id"] != before and answer.json()["outputs"]["drawn"] != ANSWERS[slug]


@pytest.mark.parametrize(
    ("slug", "sent", "field", "told"),
    [
        ("boxed", {}, "photo_boxes", "photo_boxes is missing: draw on the picture, or give a list of"),
        (
            "boxed",
            {"data": {"photo_boxes": "[[1,2]]"}},
            "photo_boxes",
            "photo_boxes must be a list of [x0, y0, x1, y1]",
        ),
        (
            "boxed",
            {"data": {"photo_boxes": "[[900,0,950,9]]"}},
            "photo_boxes",
            "photo_boxes: number 1, [900, 0, 950, 9]",
        ),
        ("boxed", {"more": {"photo_boxes": b"[[1,2,3,4]]"}}, "photo_boxes", "photo_boxes is no file"),
        ("painted", {}, "photo_mask", "photo_mask is missing: paint on the picture"),
        ("painted", {"more": {"photo_mask": b"GIF89a broken"}}, "photo_mask", "photo_mask"),
        ("painted", {"more": {"photo_mask": PHOTO[:300]}}, "photo_mask", "photo_mask (PNG) is cut off or damaged"),
    ],
)
def test_what_cannot_be_used_is_refused_in_words(
    client: TestClient, slug: str, sent: dict[str, Any], field: str, told: str
) -> None:
    files = {"photo": PHOTO, **sent.get("more", {})}
    answer = client.post(f"/api/v1/demos/{slug}", files=files, data=sent.get("data", {}))
    assert answer.status_code == 422, answer.text
    assert (answer.json()["field"], answer.json()["detail"][: len(told)]) == (field, told)


def test_the_openapi_document_says_how_each_is_sent(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    OpenAPI.model_validate(document)

    def body(slug: str, kind: str) -> dict[str, Any]:
        content = document["paths"][f"/api/v1/demos/{slug}"]["post"]["requestBody"]["content"]
        return dict(content[kind]["schema"])

    boxes = body("boxed", "application/json")["properties"]["photo_boxes"]
    marks, of_size, text = boxes["anyOf"]
    assert (marks["maxItems"], marks["items"]["minItems"], text["type"]) == (16, 4, "string")
    assert of_size["properties"]["of"]["minItems"] == 2
    assert body("boxed", "multipart/form-data")["properties"]["photo_boxes"]["type"] == "string"
    assert body("boxed", "multipart/form-data")["required"] == ["photo", "photo_boxes"]
    assert body("painted", "multipart/form-data")["properties"]["photo_mask"]["format"] == "binary"
    kinds = {slug: type(declared(client.get(f"/api/v1/demos/{slug}").json()).inputs[1]).__name__ for slug in SLUGS}
    assert kinds == {"boxed": "Text", "pointed": "Text", "painted": "ImageInput"}


# --- pages ----------------------------------------------------------------------------------------


def test_gradio_asks_for_it_below_the_picture_and_draws_there(hub: Hub) -> None:
    async def build() -> dict[str, Any]:
        return dict(gradio_ui.build(hub).config)

    config = run_async(build())
    assert {*SLUGS} <= {event["api_name"] for event in config["dependencies"]}
    for slug in SLUGS:
        demo = hub.registry.get(slug).demo
        assert asked_first(demo) == ["photo", HINTS[slug][0]]
        assert not runs_at_once(demo) and not can_be_live(demo)


def test_a_run_of_gradio_client_gets_what_was_drawn(hub: Hub, served_hub: tuple[str, Hub], tmp_path: Path) -> None:
    from gradio_client import Client, handle_file

    url, _ = served_hub
    (tmp_path / "photo.png").write_bytes(PHOTO)
    (tmp_path / "mask.png").write_bytes(MASK)
    far = Client(url, verbose=False, httpx_kwargs=PATIENT, download_files=str(tmp_path))
    try:
        photo = handle_file(tmp_path / "photo.png")
        for slug in SLUGS:
            name, value = HINTS[slug]
            hint = handle_file(tmp_path / "mask.png") if isinstance(value, bytes) else json.dumps(value)
            drawn, _, _ = far.predict(photo=photo, level=0, api_name=f"/{slug}", **{name: hint})
            assert drawn == ANSWERS[slug]
    finally:
        far.close()


@pytest.fixture(scope="module")
def served_hub(hub: Hub) -> Iterator[tuple[str, Hub]]:
    from hub.web import server
    from tests.served import running

    async def build() -> Any:
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield url, hub


@pytest.mark.parametrize("slug", SLUGS)
def test_streamlit_takes_places_as_text_and_a_mask_as_a_file(
    hub: Hub, slug: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")

    def script(slug: str) -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get(slug), "http://hub.test")

    page = AppTest.from_function(script, kwargs={"slug": slug}, default_timeout=60).run()
    assert not page.exception
    uploaders = page.get("file_uploader")
    assert [one.label for one in uploaders] == (["Photo", "Mask"] if slug == "painted" else ["Photo"])
    uploaders[0].upload("photo.png", PHOTO, "image/png")
    if slug == "painted":
        uploaders[1].upload("mask.png", MASK, "image/png")
    else:
        page.text_input[0].set_value(json.dumps(HINTS[slug][1]))
    page.button[0].click().run()
    assert not page.exception and not page.error
    assert json.loads(page.json[0].value) == ANSWERS[slug]


# --- shared, kept, again --------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
def test_a_run_of_the_history_and_a_shared_one_bring_back_what_was_drawn(
    hub: Hub, client: TestClient, slug: str, tmp_path: Path
) -> None:
    answered = ask(client, slug, level="3")
    (run, *_) = [one for one in client.get("/api/v1/history").json()["runs"] if answered["id"] in str(one["result"])]
    made = client.post(f"/api/v1/results/{answered['id']}/links", json={})
    assert made.status_code == 201, made.text
    shared = client.get(f"/r/{made.json()['id']}")
    assert shared.status_code == 200
    value = HINTS[slug][1]
    assert ("in-photo_mask" if slug == "painted" else json.dumps(value[0])[1:5].replace(" ", "")) in shared.text
    values = filled.read(hub, hub.registry.get(slug), [("link", made.json()["id"])], tmp_path)
    assert values.problems == []
    given = {n: Path(v) if n in ("photo", "photo_mask") else v for n, v in values.values.items()}
    assert json.loads(hub.engine.run(slug, given).values_json)["drawn"] == ANSWERS[slug]
    assert client.get(f"/history?run={run['id']}").status_code == 200
    if slug == "painted":
        assert client.get(f"/api/v1/history/{run['id']}/inputs/photo_mask").content == MASK


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_has_one_drawing_for_all_and_none_of_masks(hub: Hub, client: TestClient) -> None:
    assert picture_input(hub.registry.get("boxed").demo) == "photo"
    sent = client.post(
        "/api/v1/demos/boxed/batch", files=[("files", ("a.png", PHOTO)), ("files", ("b.png", PHOTO))],
        data={"photo_boxes": json.dumps(BOXES)},
    )  # fmt: skip
    assert sent.status_code == 202, sent.text
    missing = client.post("/api/v1/demos/boxed/batch", files={"files": ("a.png", PHOTO)})
    assert (missing.status_code, missing.json()["field"]) == (422, "photo_boxes")
    refused = client.post("/api/v1/demos/painted/batch", files={"files": ("a.png", PHOTO)})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "Drawn mask takes no batch: that is for pages that need one picture."


# --- agents, the command line, code ---------------------------------------------------------------


def test_agents_are_told_how_to_draw_and_their_calls_are_run(hub: Hub) -> None:
    for slug in SLUGS:
        page = hub.registry.get(slug)
        name, value = HINTS[slug]
        properties: Any = tools.tool(hub, page, files=False).input_schema["properties"]
        assert ("the mask file in base64" if slug == "painted" else "In pixels of photo") in properties[name][
            "description"
        ]
        sent = {"photo": base64.b64encode(PHOTO).decode()}
        sent[name] = base64.b64encode(value).decode() if isinstance(value, bytes) else value
        result = hub.engine.run(slug, tools.inputs(hub, page, sent, files=False))
        assert json.loads(result.values_json)["drawn"] == ANSWERS[slug]


def test_the_command_line_has_a_flag_for_it(hub: Hub, client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(PHOTO)
    (tmp_path / "mask.png").write_bytes(MASK)
    for slug in SLUGS:
        detail = client.get(f"/api/v1/demos/{slug}").json()
        name, value = HINTS[slug]
        given = str(tmp_path / "mask.png") if isinstance(value, bytes) else json.dumps(value)
        words = ["--image", str(tmp_path / "photo.png"), f"--{name.replace('_', '-')}", given]
        arguments: Any = type("Arguments", (), {"slug": slug})
        options = cli_call._flags(arguments, detail).parse_args(words)
        values = cli_call._values(options, detail)
        (far,) = cli_run.plan(declared(detail), options.image, values)
        assert json.loads(hub.engine.run(slug, far).values_json)["drawn"] == ANSWERS[slug]
        here = [f"photo={tmp_path / 'photo.png'}", *([f"{name}={given}"] if isinstance(value, bytes) else [])]
        settings = [] if isinstance(value, bytes) else [f"{name}={given}"]
        (asked,) = cli_run.plan(hub.registry.get(slug).demo, here, settings)
        assert json.loads(hub.engine.run(slug, asked).values_json)["drawn"] == ANSWERS[slug]


def test_code_to_copy_draws(hub: Hub) -> None:
    for slug in SLUGS:
        name, value = HINTS[slug]
        values = {} if isinstance(value, bytes) else {name: json.dumps(value)}
        for title, _, text in snippets.all_of(slug, hub.registry.get(slug).demo, "http://hub.example", values):
            wanted = "mask.png" if isinstance(value, bytes) else "[[" + str(value[0][0])
            assert wanted in text and "photo.jpg" in text, title
        for title, _, text in snippets.all_of(slug, hub.registry.get(slug).demo, "http://hub.example"):
            assert name.replace("_", "-") in text or name in text, title


# --- the contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("slug", SLUGS)
@pytest.mark.parametrize("rule", [name for name in RULES if RULES[name] is not rules.importing_is_free])
def test_pages_that_are_drawn_on_keep_the_contract(hub: Hub, slug: str, rule: str) -> None:
    RULES[rule](Case(hub, hub.registry.get(slug), None))


def test_a_page_without_drawing_is_asked_as_before(hub: Hub) -> None:
    with pytest.raises(InputError, match="photo_boxes"):
        hub.engine.run("painted", {"photo": PHOTO, "photo_mask": MASK, "photo_boxes": "[]"})
