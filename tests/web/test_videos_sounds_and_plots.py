"""Videos, sounds and plots through every door: one run, and the same answer from each."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.openapi.models import OpenAPI
from PIL import Image
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

from hub.cli import run as cli_run
from hub.cli import show
from hub.cli.files import OutFolder
from hub.cli.remote_hub import RemoteHub, declared
from hub.decoding.decode import ImageLimits
from hub.decoding.played import audio, video
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.results.result import Result
from hub.settings import Settings
from hub.web.gradio_ui import fields
from hub.web.mcp import tools
from hub.web.middleware import sessions
from hub.web.parts import snippets
from hub.web.streamlit_ui import host as streamlit_host
from tests.fakes import HOSTILE, played_demo, sound_file, video_file
from tests.web.doors import app_of

pytestmark = pytest.mark.slow

SLUG = "turned"
RUN = f"/api/v1/demos/{SLUG}"
FILM = video_file((64, 48), seconds=2, rate=10)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    folder = tmp_path_factory.mktemp("turned")
    settings = Settings(device="cpu", dtype="float32", data=str(folder / "data"))
    made = Hub(settings, Registry({SLUG: Page(SLUG, "a test", folder, declared=played_demo())}))
    streamlit_host.use(made)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(hub: Hub) -> TestClient:
    app = app_of(hub)
    app.add_middleware(sessions.SessionCookie, hub=hub)
    return TestClient(app, base_url="http://hub.example", cookies={sessions.COOKIE: "s" * 32})


@pytest.fixture(scope="module")
def answered(client: TestClient) -> dict[str, Any]:
    answer = client.post(RUN, files={"film": FILM, "sound": sound_file()})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.fixture(scope="module")
def result(hub: Hub, answered: dict[str, Any]) -> Result:
    stored = hub.results.get(answered["id"])
    assert stored is not None
    return stored


# --- REST -----------------------------------------------------------------------------------------


def test_a_video_comes_back_turned_round_beside_its_still(client: TestClient, answered: dict[str, Any]) -> None:
    facts = answered["outputs"]["turned"]
    assert (facts["width"], facts["height"], facts["frames"], facts["rate"], facts["seconds"]) == (64, 48, 10, 5, 2.0)
    file = client.get(facts["video"])
    assert file.headers["content-type"] == "video/mp4" and file.headers["accept-ranges"] == "bytes"
    clip = video.read(file.content, ImageLimits(), name="clip", max_seconds=10, rate=5)
    light = [np.asarray(frame).mean() for _, frame in clip.frames()]
    assert light == sorted(light, reverse=True) and light[0] > 200 > 60 > light[-1]
    still = Image.open(io.BytesIO(client.get(facts["still"]).content))
    assert still.size == (64, 48) and np.asarray(still).mean() > 200


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ("bytes=0-9", 206, "bytes 0-9/{size}"),
        ("bytes=-5", 206, "bytes {last5}-{last}/{size}"),
        ("bytes=10-", 206, "bytes 10-{last}/{size}"),
        ("bytes=99999999-", 416, "bytes */{size}"),
        ("bytes=0-1,3-4", 200, None),
        ("lines=1-2", 200, None),
    ],
)
def test_players_get_the_part_of_a_video_that_they_ask_for(
    client: TestClient, answered: dict[str, Any], asked: str, status: int, told: str | None
) -> None:
    address = answered["outputs"]["turned"]["video"]
    whole = client.get(address).content
    answer = client.get(address, headers={"Range": asked})
    size = {"size": len(whole), "last": len(whole) - 1, "last5": len(whole) - 5}
    assert answer.status_code == status
    assert answer.headers.get("content-range") == (told.format(**size) if told else None)
    assert status != 206 or answer.content in whole


def test_a_sound_is_heard_as_it_was_made(client: TestClient, answered: dict[str, Any]) -> None:
    facts = answered["outputs"]["heard"]
    assert (facts["seconds"], facts["sample_rate"]) == (1.0, 8_000)
    data = client.get(facts["sound"]).content
    samples = audio.read(data, ImageLimits(), name="sound", max_seconds=10, sample_rate=8_000)
    assert samples.size == 8_000 and float(np.abs(samples).max()) == pytest.approx(0.25, abs=0.01)
    assert int(np.abs(np.fft.rfft(samples)).argmax()) == 440


def test_a_plot_is_data_a_table_and_drawings(client: TestClient, answered: dict[str, Any]) -> None:
    data = answered["outputs"]["light"]
    assert data["x"] == [round(n / 5, 3) for n in range(10)]
    assert list(data["series"]) == [f"light {HOSTILE}", "none"] and set(data["series"]["none"]) == {None}
    address = f"/api/v1/results/{answered['id']}/light"
    assert client.get(address).json()["series"] == data["series"]
    table = client.get(f"{address}?format=csv")
    lines = table.text.splitlines()
    assert table.headers["content-type"].startswith("text/csv") and lines[0].startswith("seconds,light ")
    assert len(lines) == 11
    drawing = client.get(f"{address}?format=svg&theme=dark")
    assert drawing.headers["content-type"] == "image/svg+xml" and b"<script>alert" not in drawing.content
    assert "sandbox" in drawing.headers["content-security-policy"]
    light, dark = (Image.open(io.BytesIO(client.get(data[name]).content)).convert("L") for name in ("picture", "dark"))
    assert light.getpixel((1, 1)) == 255 and int(dark.getpixel((1, 1))) < 60  # type: ignore[arg-type]  # of one band
    refused = client.get(f"{address}?format=coco")
    assert (refused.status_code, refused.json()["field"]) == (422, "format")


def test_json_takes_files_in_base64_and_an_optional_sound_may_be_missing(client: TestClient) -> None:
    import base64

    answer = client.post(RUN, json={"film": base64.b64encode(FILM).decode(), "gain": 1})
    assert answer.status_code == 200, answer.text
    assert "heard" not in answer.json()["outputs"]


@pytest.mark.parametrize(
    ("files", "status", "told"),
    [
        ({}, 422, "film is missing: give a video (MP4 or WebM, for example)."),
        ({"film": b"text"}, 415, "film looks like text; MP4, MOV, WebM and Matroska videos are read."),
        ({"film": sound_file()}, 415, "film looks like WAV;"),
        ({"film": FILM[:700]}, 422, "film (MP4) is cut off or damaged and cannot be read."),
        ({"film": video_file(seconds=6, rate=4)}, 413, "film lasts 6.0 s; at most 5 s are read."),
        ({"film": FILM, "sound": FILM}, 422, "sound has no sound in it."),
        ({"film": FILM, "sound": sound_file(7)}, 413, "sound lasts 7.0 s; at most 5 s are read."),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(
    client: TestClient, files: dict[str, bytes], status: int, told: str
) -> None:
    answer = client.post(RUN, files=files) if files else client.post(RUN)
    assert answer.status_code == status, answer.text
    assert answer.json()["detail"].startswith(told)


def test_the_openapi_document_and_the_description_have_the_fields(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    OpenAPI.model_validate(document)
    body = document["paths"][RUN]["post"]["requestBody"]["content"]["multipart/form-data"]["schema"]["properties"]
    assert (body["film"]["contentMediaType"], body["film"]["x-max-seconds"]) == ("video/*", 5)
    assert body["sound"]["contentMediaType"] == "audio/*"
    detail = client.get(RUN).json()
    assert [entry["type"] for entry in detail["outputs"]] == ["video", "audio", "plot", "plot"]
    far = declared(detail)
    assert [type(field).__name__ for field in far.inputs[:2]] == ["VideoInput", "AudioInput"]
    assert [type(field).__name__ for field in far.outputs] == ["VideoOutput", "AudioOutput", "Plot", "Plot"]


# --- pages ----------------------------------------------------------------------------------------


def test_gradio_plays_and_draws_and_escapes(hub: Hub, result: Result, tmp_path: Path) -> None:
    demo = hub.registry.get(SLUG).demo
    turned, heard, light, levels = (update["value"] for update in fields.fill_outputs(demo, result, tmp_path, {}))
    assert (
        f'src="api/v1/results/{result.id}/turned/1"' in turned and "<video" in turned and "2.0 s, 10 frames" in turned
    )
    assert f'src="api/v1/results/{result.id}/heard/1"' in heard and "<audio" in heard
    assert "Download as CSV" in light and light.count("<img") == 2 and HOSTILE not in light
    assert "<td" in levels
    for field in demo.inputs[:2]:
        component = fields.input_component(field)
        assert component.postprocess(None) is None and "at most 5 s" in str(component.label)


def test_gradio_client_gets_files_and_the_data_of_plots(hub: Hub, result: Result, tmp_path: Path) -> None:
    turned, heard, light, _ = fields.fill_api_outputs(hub.registry.get(SLUG).demo, result, tmp_path)
    assert Path(turned).suffix == ".mp4" and Path(turned).read_bytes() == result.pictures["turned"][1].data
    assert Path(heard).suffix == ".wav"
    assert light == result.values["light"]


def test_streamlit_plays_and_draws_them(hub: Hub, result: Result) -> None:
    def script(id: str) -> None:
        from hub.web.streamlit_ui import host as streamlit_host
        from hub.web.streamlit_ui import outputs as streamlit_outputs

        hub = streamlit_host.current().hub
        result = hub.results.get(id)
        assert result is not None
        streamlit_outputs.show(hub.registry.get("turned").demo, result, {})

    page = AppTest.from_function(script, kwargs={"id": result.id}, default_timeout=60).run()
    assert not page.exception
    assert len(page.get("video")) == 1 and len(page.get("audio")) == 1
    assert len(page.dataframe) == 2


def test_streamlit_asks_for_a_video_and_a_sound(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")

    def script() -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get("turned"), "http://hub.test")

    page = AppTest.from_function(script, default_timeout=60).run()
    assert not page.exception
    assert r"Film \(at most 5 s\)" in [one.label for one in page.get("file_uploader")]


# --- shared and kept ------------------------------------------------------------------------------


def test_a_shared_result_plays_by_itself_and_shows_a_still_of_what_went_in(
    client: TestClient, answered: dict[str, Any]
) -> None:
    made = client.post(f"/api/v1/results/{answered['id']}/links", json={})
    assert made.status_code == 201, made.text
    page = client.get(f"/r/{made.json()['id']}").text
    kinds = {"out-turned-1.mp4": "video/mp4", "out-heard-1.wav": "audio/wav", "in-film.png": "image/png"}
    for name, kind in kinds.items():
        found = re.search(rf'(?:src|href)="([^"]+{name})"', page)
        assert found, name
        assert client.get(f"/r/{found[1]}").headers["content-type"] == kind
    assert page.count("hub-of-dark") >= 2 and HOSTILE not in page


def test_the_history_has_a_run_with_a_thumbnail_and_what_went_in(client: TestClient, answered: dict[str, Any]) -> None:
    (run, *_) = [one for one in client.get("/api/v1/history").json()["runs"] if answered["id"] in str(one["result"])]
    page = client.get(f"/history?run={run['id']}").text
    assert "<video" in page and "<audio" in page
    assert client.get(f"/api/v1/history/{run['id']}/thumbnail").headers["content-type"] == "image/webp"


# --- agents, the command line, code ---------------------------------------------------------------


def test_agents_get_data_and_pictures_of_it(hub: Hub, result: Result) -> None:
    page = hub.registry.get(SLUG)
    structured: Any = tools.answer(result, page, "http://hub.example").structured_content
    assert structured["outputs"]["turned"]["frames"] == 10
    assert {entry["output"] for entry in structured["pictures"]} == {"turned", "heard", "light", "levels"}
    tool = tools.tool(hub, page, files=True)
    properties: Any = tool.input_schema["properties"]
    assert "the video file in base64" in properties["film"]["description"]


def test_the_command_line_takes_and_saves_them(hub: Hub, result: Result, tmp_path: Path) -> None:
    demo, out = hub.registry.get(SLUG).demo, io.StringIO()
    (asked,) = cli_run.plan(demo, ["film.mp4", "sound=tone.wav"], ["gain=1"])
    assert asked == {"film": Path("film.mp4"), "sound": Path("tone.wav"), "gain": "1"}
    paths = OutFolder(tmp_path, force=False).save(result, "film")
    assert {path.name for group in paths.values() for path in group} == {
        "film-turned.mp4", "film-heard.wav", "film-light.png", "film-levels.png",
    }  # fmt: skip
    show.show(show.console(out), demo, result, paths, "")
    assert "film-turned.mp4 (2 s, mp4)" in out.getvalue()
    document = json.loads(json.dumps(show.document(demo, result, paths)))
    assert document["outputs"]["turned"]["file"].endswith("film-turned.mp4")


def test_a_hub_elsewhere_gives_the_same_files(client: TestClient, answered: dict[str, Any], result: Result) -> None:
    far = RemoteHub("http://hub.example")
    far._client = client
    demo = declared(client.get(RUN).json())
    got, addresses = far._result(demo, json.loads(json.dumps(answered)), True)
    assert got.kept_files["turned"][0].data == result.pictures["turned"][1].data
    assert got.kept_files["light"][0].data == result.pictures["light"][0].data
    assert addresses["heard"] == [f"http://hub.example{answered['outputs']['heard']['sound']}"]
    assert got.values == result.values


def test_code_to_copy_names_a_video(hub: Hub) -> None:
    for _, _, text in snippets.all_of(SLUG, hub.registry.get(SLUG).demo, "http://hub.example"):
        assert "video.mp4" in text and "photo.jpg" not in text
