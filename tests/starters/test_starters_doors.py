"""Every starter's page through every door: REST, gradio_client, Gradio, Streamlit, agents, command line, Chinese."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from mcp import Client as McpClient
from PIL import Image, ImageOps
from streamlit.testing.v1 import AppTest

from hub import texts
from hub.cli import main as cli
from hub.contract.inputs import sound_file
from hub.hub import Hub
from hub.pages import kinds
from hub.settings import Settings
from hub.spec import AudioInput, Choice, Demo, FileInput, ImageInput, PaintedMask, Seed, Text
from hub.starters import making, tasks
from hub.web import server
from hub.web.middleware import sessions
from hub.web.streamlit_ui import host as streamlit_host
from hub.weights.store import WeightsStore
from tests.fakes import picture
from tests.served import PATIENT, command, run_async, running
from tests.starters import tiny_models

pytestmark = [pytest.mark.filterwarnings("default"), pytest.mark.slow]  # transformers' own
KINDS = {task.starter: task.tag for task in tasks.TASKS} | {
    "speech_by_letters": "letters",
    "text_to_image": "text-to-image",
    "inpainting": "inpainting",
}
ALWAYS = {"text_generation", "automatic_speech_recognition", "audio_classification"}
every_starter = pytest.mark.parametrize(
    "slug", [slug if slug in ALWAYS else pytest.param(slug, marks=pytest.mark.release) for slug in KINDS]
)


@dataclass(frozen=True)
class Pages:
    """A served hub with a page of each starter."""

    hub: Hub
    url: str
    folder: Path

    def demo(self, slug: str) -> Demo:
        return self.hub.registry.get(slug).demo


@pytest.fixture(scope="module")
def make_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Pages]]:
    ends: list[Callable[[], object]] = []

    @cache
    def make() -> Pages:
        folder = tmp_path_factory.mktemp("starters")
        store = WeightsStore(folder / "weights", folder / "hub")
        for slug, kind in KINDS.items():
            model = folder / "models" / slug
            model.mkdir(parents=True)
            tiny_models.MAKE[kind](model)
            (model / "README.md").write_bytes(tiny_models.card(license="mit"))
            making.create_from(str(model), slug, folder / "demos", store)
        places = {"weights_folder": str(folder / "weights"), "demos_folder": str(folder / "demos")}
        hub = Hub(Settings(device="cpu", dtype="float32", pool_gb=1.0, data=str(folder / "data"), **places))
        ends.append(hub.close)
        streamlit_host.use(hub)

        async def build() -> Any:
            return server.build_app(hub)

        served = running(run_async(build()))
        ends.append(lambda: served.__exit__(None, None, None))
        return Pages(hub, served.__enter__(), folder)

    yield make
    for end in reversed(ends):
        end()


@pytest.fixture
def pages(make_pages: Callable[[], Pages]) -> Pages:
    return make_pages()


def given(demo: Demo) -> dict[str, Any]:
    """Values of all inputs that must be given, and quick ones for what takes long; files as bytes."""
    values: dict[str, Any] = {}
    for field in demo.inputs:
        if isinstance(field, ImageInput) and field.required:
            file = io.BytesIO()
            picture(80, 60).save(file, "PNG")
            values[field.name] = file.getvalue()
        elif isinstance(field, PaintedMask):
            file = io.BytesIO()
            ImageOps.expand(Image.new("L", (40, 30), 255), border=(20, 15)).save(file, "PNG")
            values[field.name] = file.getvalue()
        elif isinstance(field, AudioInput):
            values[field.name] = sound_file()
        elif isinstance(field, Text) and field.required:
            values[field.name] = "a red car"
        elif isinstance(field, Seed):
            values[field.name] = 7
    return values | ({"steps": 2} if "steps" in {field.name for field in demo.inputs} else {})


def check(answer: dict[str, Any], demo: Demo) -> None:
    assert set(answer) >= {field.name for field in demo.outputs if not field.optional}, answer


@pytest.mark.slow
@every_starter
def test_a_page_answers_alike_through_every_door(slug: str, pages: Pages, tmp_path: Path) -> None:
    demo = pages.demo(slug)
    values = given(demo)
    files = {name for name, value in values.items() if isinstance(value, bytes)}
    paths = {name: tmp_path / f"{name}{'.wav' if name == 'sound' else '.png'}" for name in files}
    for name, path in paths.items():
        path.write_bytes(values[name])
    plain = {name: value for name, value in values.items() if name not in files}

    rest = httpx.post(
        f"{pages.url}/api/v1/demos/{slug}", data=plain, files={name: values[name] for name in files} or None, timeout=60
    )
    assert rest.status_code == 200, rest.text
    check(rest.json()["outputs"], demo)

    client = Client(pages.url, verbose=False, httpx_kwargs=PATIENT)
    *outputs, receipt = client.predict(
        **plain, **{name: handle_file(path) for name, path in paths.items()}, api_name=f"/{slug}"
    )
    client.close()
    assert (receipt["id"], len(outputs)) == (rest.json()["id"], len(kinds.of_client(demo)))

    in_base64 = {name: base64.b64encode(values[name]).decode() for name in files}

    async def ask() -> Any:
        async with McpClient(f"{pages.url}/mcp") as agent:
            return await agent.call_tool(slug, {**plain, **in_base64})

    told = run_async(ask())
    assert not told.is_error, told.content
    assert told.structured_content["id"] == rest.json()["id"]

    flags = [f"--image={name}={path}" for name, path in paths.items()]
    sets = [f"--set={name}={value}" for name, value in plain.items()]
    done = command(cli.main, "call", pages.url, slug, *flags, *sets, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == rest.json()["id"]

    home = httpx.get(f"{pages.url}/{slug}", headers={"accept": "text/html"}, timeout=60)
    assert home.status_code == 200 and "Traceback" not in home.text


@every_starter
def test_a_streamlit_page_runs(slug: str, pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "session_of", lambda cookies, page="": "a browser of the tests")

    def script(slug: str) -> None:
        from hub.web.streamlit_ui import demo as streamlit_demo
        from hub.web.streamlit_ui import host as streamlit_host

        host = streamlit_host.current()
        streamlit_demo.show(host, host.hub.registry.get(slug), "http://hub.test")

    demo, values = pages.demo(slug), given(pages.demo(slug))
    page = AppTest.from_function(script, kwargs={"slug": slug}, default_timeout=120).run()
    assert not page.exception
    files = [field for field in demo.inputs if isinstance(field, FileInput)]
    for uploader, field in zip(page.file_uploader, files, strict=False):
        if field.name in values:
            kind = ("speech.wav", "audio/wav") if isinstance(field, AudioInput) else ("photo.png", "image/png")
            uploader.set_value((kind[0], values[field.name], kind[1]))
    page = page.run()
    words = [field for field in demo.inputs if isinstance(field, Text) and field.required]
    for field in words:
        (entry,) = [one for one in (*page.text_area, *page.text_input) if one.label == field.label]
        entry.set_value(values[field.name])
    for slider in page.slider:
        if slider.label == "Steps":
            slider.set_value(2)
    (button,) = [one for one in page.button if one.label == "Run"]
    page = button.click().run()
    assert not page.exception and not page.error, [error.value for error in page.error]
    assert page.success, "the answer in a few words"


@every_starter
def test_a_page_speaks_chinese(slug: str, pages: Pages) -> None:
    demo = pages.demo(slug)
    said = [demo.summary, demo.task]
    for field in (*demo.inputs, *demo.outputs):
        said += [field.label, field.help, getattr(field, "unit", "").replace("px", "")]
        said += [option for option in field.options if option != "auto"] if isinstance(field, Choice) else []
    known = texts.own()[texts.CHINESE]
    assert [text for text in said if text and known.say(text) == text] == []
    page = httpx.get(f"{pages.url}/{slug}?lang=zh-CN", headers={"accept": "text/html"}, timeout=60)
    assert page.status_code == 200 and 'lang="zh-CN"' in page.text
    assert known.say(demo.summary) in page.text or json.dumps(known.say(demo.summary))[1:-1] in page.text


def test_there_is_a_page_for_every_starter() -> None:
    folder = Path(making.__file__).parent
    assert {path.stem for path in folder.glob("*.py")} - {"__init__", "making", "serving", "tasks"} == set(KINDS)
