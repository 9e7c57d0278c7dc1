"""The same photograph through every door of a served hub: REST, gradio_client, command line, engine."""

from __future__ import annotations

import base64
import io
import json
import shlex
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from mcp import Client as McpClient
from PIL import Image

from hub.cli.main import _parser, main
from hub.cli.run import plan
from hub.pages import kinds
from hub.pages.inputs import read
from hub.pages.registry import discover
from hub.spec import Boxes, Gallery, ImageInput, ImageOutput, Json, Labels, Mask
from hub.web.parts import snippets
from tests.served import PATIENT, ROOT, Served, command, run_async

SLUGS = [page.slug for page in discover() if page.over is None]
ALWAYS = {"vehicle_classifier", "stable_diffusion"}  # the others with the slow tests
TRIED = [slug if slug in ALWAYS else pytest.param(slug, marks=pytest.mark.slow) for slug in SLUGS]


@pytest.fixture(scope="module")
def client(hub: Served) -> Client:
    return Client(hub.url, verbose=False, httpx_kwargs=PATIENT)


def example(slug: str) -> tuple[dict[str, Any], dict[str, Path]]:
    """Parameters and picture paths of a page's first example."""
    page = discover().get(slug)
    pictures = {f.name for f in page.demo.inputs if isinstance(f, ImageInput)}
    inputs = {**page.demo.examples[0].inputs, **page.demo.live}  # the quick settings, where a page has them
    paths = {name: page.assets / str(inputs.pop(name)) for name in pictures & inputs.keys()}
    return inputs, paths


def over_rest(hub: Served, slug: str) -> dict[str, Any]:
    parameters, paths = example(slug)
    files = {name: path.read_bytes() for name, path in paths.items()}
    answer = httpx.post(f"{hub.url}/api/v1/demos/{slug}", data=parameters, files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    outputs = answer.json()["outputs"]
    return {name: fetched(hub, value) for name, value in outputs.items()}


def fetched(hub: Served, value: Any) -> Any:
    """A value of REST with the pictures that it links to: one, or a gallery's with their captions."""
    if isinstance(value, str):
        return httpx.get(hub.url + value, timeout=60).content
    if isinstance(value, list) and value and "url" in value[0]:
        return [(fetched(hub, entry["url"]), entry["caption"]) for entry in value]
    return value


def over_gradio(client: Client, slug: str) -> dict[str, Any]:
    parameters, paths = example(slug)
    files = {name: handle_file(path) for name, path in paths.items()}
    *answers, _ = client.predict(**parameters, **files, api_name=f"/{slug}")
    fields = kinds.of_client(discover().get(slug).demo)
    return {
        f.name: of_client(f, a)
        for f, a in zip(fields, answers, strict=True)
        if not (f.optional and a in (None, []))  # REST leaves out what is not there
    }


def of_client(field: Any, answer: Any) -> Any:
    """A value as gradio_client gives it, its files read."""
    if isinstance(field, Gallery):
        return [(Path(entry["image"]).read_bytes(), entry["caption"]) for entry in answer]
    return Path(answer).read_bytes() if isinstance(field, ImageOutput | Mask) else answer


def over_mcp(hub: Served, slug: str) -> dict[str, Any]:
    parameters, paths = example(slug)
    files = {name: base64.b64encode(path.read_bytes()).decode() for name, path in paths.items()}

    async def call() -> Any:
        async with McpClient(f"{hub.url}/mcp") as client:
            return await client.call_tool(slug, {**parameters, **files})

    answer = run_async(call())
    assert not answer.is_error, answer.content
    outputs = answer.structured_content["outputs"]
    galleries = {f.name for f in discover().get(slug).demo.outputs if isinstance(f, Gallery)}
    for told in answer.structured_content["pictures"]:
        if isinstance(outputs.get(told["output"]), dict):  # boxes, which are drawn over it
            continue
        picture = httpx.get(told["url"], timeout=60).content
        if told["output"] in galleries:
            outputs.setdefault(told["output"], []).append((picture, told["caption"]))
        else:
            outputs[told["output"]] = picture
    return dict(outputs)


def over_cli(slug: str, folder: Path) -> dict[str, Any]:
    parameters, paths = example(slug)
    words = ["run", slug, "--json", "--out", str(folder), "--data", str(folder / "data")]
    words += [word for name, path in paths.items() for word in ("--image", f"{name}={path}")]
    words += [word for name, value in parameters.items() for word in ("--set", f"{name}={value}")]
    done = command(main, *words)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    document = printed[0] if isinstance(printed, list) else printed
    return {
        name: Path(folder / value).read_bytes() if isinstance(value, str) else value
        for name, value in document["outputs"].items()
    }


@pytest.mark.parametrize("slug", TRIED)
def test_every_door_gives_the_same_answer(slug: str, hub: Served, client: Client, tmp_path: Path) -> None:
    """Byte-equal through REST, gradio_client and MCP (one run, kept); the CLI's own run is close in its dtype."""
    rest, gradio, cli = over_rest(hub, slug), over_gradio(client, slug), over_cli(slug, tmp_path)
    mcp = over_mcp(hub, slug)
    for field in discover().get(slug).demo.outputs:
        if isinstance(field, Boxes):  # beside which each door says in its own way where the picture is
            for outputs in (rest, gradio, mcp):
                outputs[field.name] = {name: outputs[field.name][name] for name in ("width", "height", "boxes")}
    assert rest == gradio == mcp
    for field in discover().get(slug).demo.outputs:
        if isinstance(field, Labels):
            assert cli[field.name] == pytest.approx(rest[field.name], abs=0.02)
        elif isinstance(field, Mask):
            ours, theirs = (np.asarray(Image.open(io.BytesIO(x[field.name]))) for x in (cli, rest))
            assert (ours == theirs).mean() > 0.995
        elif isinstance(field, Json) and field.table:
            assert len(cli[field.name]) == len(rest[field.name])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("slug", TRIED)
def test_use_it_from_code_runs_as_written(
    slug: str, hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every snippet of every page, against a served hub; `photo.jpg` is the page's example."""
    demo, (_, paths) = discover().get(slug).demo, example(slug)
    for path in paths.values():
        shutil.copy(path, tmp_path / snippets.PHOTO)
    monkeypatch.chdir(tmp_path)
    ways = {title: text for title, _, text in snippets.all_of(slug, demo, hub.url)}
    for title in ("Python", "MCP"):
        with ThreadPoolExecutor(1) as thread:  # without the event loop that Playwright leaves in the tests' thread
            thread.submit(exec, ways[title], {}).result(60)
    assert "'receipt': {" in capsys.readouterr().out  # the MCP snippet prints the whole answer
    script = ways["curl"].replace("curl", "curl -sSf", 1)
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(done.stdout)["receipt"]["cached"]  # the same inputs as in the snippets before
    if shutil.which("node"):
        run = subprocess.run(
            ["node", "--no-warnings", "--input-type=module", "--eval", ways["fetch"]],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        assert "cached: true" in run.stdout
        # The client's package is not here: what it would be called with is.
        stand_in = (
            "const handle_file = (path) => ({ path });\n"
            "const predict = async (...call) => ({ data: JSON.stringify(call) });\n"
            "const Client = { connect: async () => ({ predict }) };\n"
        )
        told = subprocess.run(
            ["node", "--input-type=module", "--eval", stand_in + ways["JavaScript"].split("\n", 1)[1]],
            capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        name, arguments = json.loads(told.stdout)
        given = {k: handle_file(v["path"]) if isinstance(v, dict) else v for k, v in arguments.items()}
        assert Client(hub.url, verbose=False, httpx_kwargs=PATIENT).predict(**given, api_name=name)[-1]["cached"]
    far, here = [shlex.split(line)[3:] for line in ways["Command line"].splitlines() if not line.startswith("#")]
    called = command(main, *far, folder=tmp_path)
    assert called.returncode == 0, called.stderr
    assert "stored result" in called.stdout
    given = _parser().parse_args(here)  # running it once more would only load the model once more
    assert read(demo, plan(demo, given.image, given.set)[0])


def test_a_result_made_over_rest_is_a_hit_for_gradio_client(hub: Served, client: Client) -> None:
    over_rest(hub, SLUGS[0])
    parameters, paths = example(SLUGS[0])
    files = {name: handle_file(path) for name, path in paths.items()}
    *_, receipt = client.predict(**parameters, **files, api_name=f"/{SLUGS[0]}")
    assert receipt["cached"] is True


def test_gradio_client_parameters_are_the_declared_inputs(client: Client) -> None:
    endpoints = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    for page in discover():
        names = [p["parameter_name"] for p in endpoints[f"/{page.slug}"]["parameters"]]
        several = ["weights"] if len(page.demo.weights) > 1 else []
        declared = [*(f.name for f in page.demo.inputs), *several]
        assert names == sorted(declared, key=lambda name: name == "inside")  # what programs counted before comes first
    compared = {f"{page.slug}_compare" for page in discover() if len(page.demo.weights) > 1}
    assert {name.strip("/") for name in endpoints} == {*(page.slug for page in discover()), *compared}


def test_a_comparison_tells_the_same_through_rest_and_gradio_client(hub: Served, client: Client) -> None:
    slug = "satellite_labels"
    _, paths = example(slug)
    files = {name: path.read_bytes() for name, path in paths.items()}
    answer = httpx.post(f"{hub.url}/api/v1/demos/{slug}/compare", files=files, timeout=60)
    assert answer.status_code == 200, answer.text
    rest, given = answer.json(), {name: handle_file(path) for name, path in paths.items()}
    *answers, told = client.predict(**given, weights_b="satellite_amazon", api_name=f"/{slug}_compare")
    assert {key: told[key] for key in ("rows", "pictures", "notes")} == {
        key: rest[key] for key in ("rows", "pictures", "notes")
    }
    assert [told[side]["id"] for side in "ab"] == [rest[side]["id"] for side in "ab"]
    names = [f.name for f in kinds.of_client(discover().get(slug).demo)]
    assert [answers[names.index("probabilities") + at] for at in (0, len(names))] == [
        rest[side]["outputs"]["probabilities"] for side in "ab"
    ]
    both = [row["name"] for row in rest["rows"] if row["output"] == "probabilities" and row["difference"] is not None]
    assert both == ["water"], "the one label that both sets of weights know"


@pytest.fixture(scope="module")
def bad_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bad")
    buffer = io.BytesIO()
    Image.effect_noise((200, 200), 60).convert("RGB").save(buffer, "JPEG")
    bomb = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(bomb, "PNG")
    contents = {
        "text.jpg": b"hello, this is not a picture\n" * 20,
        "empty.png": b"",
        "truncated.jpg": buffer.getvalue()[: len(buffer.getvalue()) // 2],
        "bomb.png": bomb.getvalue(),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize(
    ("name", "status"), [("text.jpg", 415), ("empty.png", 422), ("truncated.jpg", 422), ("bomb.png", 413)]
)
def test_a_bad_file_gets_the_same_words_over_every_door(
    name: str, status: int, hub: Served, client: Client, bad_files: dict[str, Path]
) -> None:
    slug = "vehicle_classifier"
    answer = httpx.post(f"{hub.url}/api/v1/demos/{slug}", files={"image": bad_files[name].read_bytes()}, timeout=30)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith("application/problem+json")
    with pytest.raises(AppError) as caught:
        client.predict(image=handle_file(bad_files[name]), api_name=f"/{slug}")
    assert answer.json()["detail"] in str(caught.value)
    done = command(main, "run", slug, "--image", str(bad_files[name]))
    assert done.returncode == 2
    assert answer.json()["detail"] in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    over_rest(hub, slug)  # the next request works


@pytest.mark.parametrize(
    ("given", "part"),
    [({"opacity": 300}, "between 0 and 1, got 300"), ({"opacity": "much"}, "a number between 0 and 1, got .much.")],
)
def test_a_bad_parameter_gets_the_hubs_words_through_gradio(
    given: dict[str, Any], part: str, client: Client, photo: Path
) -> None:
    with pytest.raises(AppError, match=part):
        client.predict(image=handle_file(photo), **given, api_name="/camvid_segmentation")


def test_no_traceback_was_logged(hub: Served) -> None:
    assert "Traceback" not in hub.log()


@pytest.mark.parametrize("path", ["README.md", "app.py", "hub/engine/engine.py", "demos/vehicle_classifier.py"])
def test_gradio_serves_no_file_of_the_project(path: str, hub: Served) -> None:
    assert httpx.get(f"{hub.url}/gradio_api/file={ROOT / path}", timeout=60).status_code in (403, 404)


@pytest.mark.parametrize("path", [ROOT / "hub/web/favicon.png", ROOT / "README.md", Path("/etc/hostname")])
def test_gradio_reads_no_file_that_was_not_uploaded(path: Path, hub: Served) -> None:
    call = f"{hub.url}/gradio_api/call/vehicle_classifier"
    given = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    inputs = discover().get("vehicle_classifier").demo.inputs
    values = [given, *(getattr(f, "default", None) for f in inputs[1:])]
    event = httpx.post(call, json={"data": values}, timeout=60).json()["event_id"]
    answer = httpx.get(f"{call}/{event}", timeout=30).text
    assert "event: error" in answer
    assert "uploaded" in answer
