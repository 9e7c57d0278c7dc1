"""Two hub processes over one data folder, behind real nginx as deploy/nginx has it: below a path, sticky, streaming."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, Router

from tests.jobs.test_killed import PAGE, counted, job, kill, wait_for
from tests.served import PATIENT, ROOT, Served, running, serving
from tests.web.doors import png

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
CONFIGURATION = ROOT / "deploy" / "nginx" / "demo-hub.conf"
PATH = "/hub"
STEPS = """
import time
from hub.spec import Demo, Json, Progress, Seed, Slider

def infer(model, items):
    for step in range(1, 6):
        time.sleep(0.3)
        yield Progress(step, 5)
    return items

DEMO = Demo(
    title="Steps", summary="Takes steps.", task="Test", inputs=(Slider("number", "Number", 0, 100, 1, 1), Seed()),
    outputs=(Json("answer", "Answer"),), load=lambda folder, device: None,
    prepare=lambda number, seed: number, infer=infer, present=lambda output, number, seed: {"answer": output},
)
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def nginx(folder: Path, port: int, doors: list[str], path: str = "") -> Iterator[str]:
    """nginx with the configuration of deploy/, on a port of its own; gives the address of the hub behind it."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (apt-get install nginx-light): two doors were not tried behind it")
    text = CONFIGURATION.read_text()
    for ours, theirs in zip(("127.0.0.1:7860", "127.0.0.1:7861"), doors, strict=True):
        assert text.count(f"server {ours} ") == 1
        text = text.replace(f"server {ours} ", f"server {theirs} ")
    for line, instead in (("listen 80;", f"listen 127.0.0.1:{port};"), ("location / {", f"location {path}/ {{")):
        assert text.count(line) == 1
        text = text.replace(line, instead)
    text = text.replace(
        "proxy_pass http://demo_hub;", "proxy_pass http://demo_hub; add_header X-Door $upstream_addr always;"
    )
    places = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = folder / "nginx.conf"
    main.write_text(
        f"daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log; "
        f"events {{}} http {{ access_log off; {places} {text} }}"
    )
    with subprocess.Popen([program, "-p", str(folder), "-c", str(main)], stderr=subprocess.PIPE, text=True) as process:
        while True:
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.fail(f"nginx did not start: {process.stderr.read()}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        try:
            yield f"http://127.0.0.1:{port}{path}"
        finally:
            process.terminate()
            process.wait(20)


@dataclass
class Two:
    """A hub with two doors behind nginx."""

    url: str  # of nginx
    doors: list[Served]
    log: Path  # of the pictures that the page `counted` was given
    data: Path

    def visitor(self, door: int) -> httpx.Client:
        """A browser whose cookie leads to this door."""
        place = self.doors[door].url.removeprefix("http://")
        for number in range(200):
            cookies = {"hub_session": f"{number:032d}"}
            if httpx.get(f"{self.url}/healthz", cookies=cookies).headers["x-door"] == place:
                return httpx.Client(base_url=self.url, cookies=cookies, timeout=120)
        raise AssertionError("no cookie leads there")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    folder = tmp_path_factory.mktemp("two")
    pages, data, log, port = folder / "demos", folder / "data", folder / "counted.txt", free_port()
    pages.mkdir()
    (pages / "counted.py").write_text(PAGE)
    (pages / "steps.py").write_text(STEPS)
    (folder / "nginx").mkdir()
    public = f"http://127.0.0.1:{port}{PATH}"
    flags = ("--demos-folder", str(pages), "--device", "cpu", "--dtype", "float32", "--public-url", public)
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        patch.setenv("COUNTED", str(log))
        doors = [stack.enter_context(serving(data, *flags)) for _ in range(2)]
        places = [door.url.removeprefix("http://") for door in doors]
        url = stack.enter_context(nginx(folder / "nginx", port, places, PATH))
        yield Two(url, doors, log, data)


def run(client: httpx.Client, number: int, **headers: str) -> httpx.Response:
    files = {"image": png(8, 8, (number, 3, 0))}
    return client.post("/api/v1/demos/counted", files=files, data={"seed": 1}, headers=headers).raise_for_status()


def test_a_result_its_link_and_its_deletion_are_the_same_at_both_doors(two: Two) -> None:
    with two.visitor(0) as ann, two.visitor(1) as ben:
        id = run(ann, 1).json()["id"]
        assert ben.get(f"/api/v1/results/{id}").json()["outputs"] == {"red": 259}
        made = ann.post(f"/api/v1/results/{id}/links", json={}).raise_for_status().json()
        assert made["url"].startswith(f"{two.url}/r/")
        assert ben.get(made["url"]).status_code == 200
        again = run(ben, 1).json()
        assert again["id"] == id and counted(two.log)["259"] == 1, "what one door computed the other need not"
        assert ann.delete("/api/v1/history?all=true").status_code == 200
        assert ben.get(made["url"]).status_code == 200, "a link stays"


def test_who_comes_to_the_other_door_finds_their_history_there(two: Two) -> None:
    with two.visitor(0) as ann:
        run(ann, 2)
        cookies = dict(ann.cookies)
        assert ann.get("/api/v1/history").json()["runs"]
    with httpx.Client(base_url=two.doors[1].url, cookies=cookies, timeout=60) as elsewhere:
        (entry, *_) = elsewhere.get("/api/v1/history").json()["runs"]
        assert elsewhere.delete(f"/api/v1/history/{entry['id']}").status_code == 200
    with httpx.Client(base_url=two.doors[0].url, cookies=cookies, timeout=60) as back:
        assert back.get("/api/v1/history").json()["runs"] == []


def test_jobs_asked_at_either_door_are_done_once_and_seen_at_both(two: Two) -> None:
    places: list[str] = []
    for number in range(6):
        with two.visitor(number % 2) as client:
            asked = client.post(
                "/api/v1/demos/counted", files={"image": png(8, 8, (number, 4, 0))}, headers={"Prefer": "respond-async"}
            )
            places.append(asked.raise_for_status().json()["url"].removeprefix(two.url).removeprefix(PATH))
    for door in two.doors:
        wait_for(lambda door=door: all(job(door, place)["state"] == "done" for place in places))  # type: ignore[misc]
    assert {str(number * 256 + 4): 1 for number in range(6)}.items() <= counted(two.log).items()


def test_a_job_is_cancelled_at_the_door_that_does_not_do_it(two: Two) -> None:
    for door in range(2):
        with two.visitor(door) as client:
            files = [("files", (f"{n}.png", png(8, 8, (n, 5 + door, 0)))) for n in range(60)]
            asked = client.post("/api/v1/demos/counted/batch", files=files, data={"seed": 1}).raise_for_status().json()
            place = asked["url"].removeprefix(two.url).removeprefix(PATH)
            wait_for(lambda place=place: job(two.doors[0], place)["state"] == "running")  # type: ignore[misc]
            assert client.delete(place).status_code == 200
        wait_for(lambda place=place: job(two.doors[1], place)["state"] == "cancelled")  # type: ignore[misc]
    time.sleep(2)  # a door looks every half second for what others cancelled, and ends what its model is at
    before = counted(two.log)
    time.sleep(2)
    assert counted(two.log) == before, "it has stopped"
    reds = range(5, 7)
    assert sum(before[str(n * 256 + red)] for n in range(60) for red in reds) < 120, "some were left"


def test_steps_come_as_they_happen_and_not_at_the_end(two: Two) -> None:
    with two.visitor(1) as client:
        times: dict[int, float] = {}
        headers = {"Accept": "text/event-stream"}
        with client.stream("POST", "/api/v1/demos/steps", json={"number": 7}, headers=headers) as answer:
            for line in answer.iter_lines():
                if line.startswith("data: ") and (step := json.loads(line[6:]).get("step")):
                    times.setdefault(step, time.monotonic())
    assert sorted(times) == [1, 2, 3, 4, 5] and times[5] - times[1] > 0.8


def test_an_upload_passes_and_one_that_is_too_large_is_refused_in_words_by_the_hub(two: Two) -> None:
    with two.visitor(0) as client:
        large = png(8, 8, (9, 9, 0)) + b"\0" * 15_000_000
        assert client.post("/api/v1/demos/counted", files={"image": large}).status_code in (200, 415, 422)
        answer = client.post("/api/v1/demos/counted", files={"image": b"\0" * 30_000_000})
    assert answer.status_code == 413 and answer.headers["content-type"].startswith("application/problem+json")


def test_gradio_s_pages_and_clients_stay_at_their_door(two: Two, tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    for door in range(2):
        photo.write_bytes(png(8, 8, (20 + door, 6, 0)))
        with two.visitor(door) as visitor:
            page = visitor.get("/counted")
            assert page.status_code == 200 and f"{PATH}/gradio_api" in page.text.replace("\\/", "/")
            name, value = next((one.name, one.value) for one in visitor.cookies.jar)  # the page gave the same once more
            cookie = {"Cookie": f"{name}={value}"}
        for _ in range(3):  # a client has a session of its own each time; its uploads and its run meet at one door
            with closing(Client(two.url, verbose=False, httpx_kwargs=PATIENT, headers=cookie)) as client:
                answer = client.predict(handle_file(photo), api_name="/counted")
                assert answer[0] == (20 + door) * 256 + 6


def test_streamlit_s_websocket_opens_through_nginx(two: Two) -> None:
    from websockets.sync.client import connect

    assert httpx.get(f"{two.url}/streamlit/_stcore/health").text == "ok"
    place = f"{two.url.replace('http:', 'ws:')}/streamlit/_stcore/stream"
    with connect(place, origin=two.url.removesuffix(PATH), subprotocols=["streamlit"]) as socket_:  # type: ignore[arg-type,list-item]  # plain texts are such, too
        assert socket_.subprotocol == "streamlit"


def test_figures_are_each_door_s_own(two: Two) -> None:
    with two.visitor(0) as client:
        run(client, 30)
    figures = [httpx.get(f"{door.url}/metrics").text for door in two.doors]
    assert all("hub_requests_in_work" in text for text in figures) and figures[0] != figures[1]


def test_headers_of_a_sign_in_that_a_visitor_writes_do_not_pass(tmp_path: Path) -> None:
    async def echo(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.headers))

    written = {"X-Forwarded-User": "admin", "Remote-User": "admin", "X-Forwarded-For": "8.8.8.8", "X-Other": "stays"}
    with ExitStack() as stack:
        place = stack.enter_context(running(Router([Route("/{path:path}", echo)]), lifespan="off"))
        url = stack.enter_context(nginx(tmp_path, free_port(), [place.removeprefix("http://")] * 2))
        got: dict[str, Any] = httpx.get(url, headers=written).json()
        assert httpx.get(f"{url}/metrics").status_code == 404
    assert not {"x-forwarded-user", "remote-user", "x-forwarded-groups", "remote-groups"} & got.keys()
    assert got["x-forwarded-for"] == "127.0.0.1" and got["x-other"] == "stays"


def test_a_door_that_is_killed_leaves_its_visitors_and_its_jobs_to_the_other(two: Two) -> None:
    """The last test: afterwards there is one door."""
    with two.visitor(0) as ann:
        id = run(ann, 40).json()["id"]
        asked = ann.post(
            "/api/v1/demos/counted", files={"image": png(8, 8, (41, 7, 0))}, headers={"Prefer": "respond-async"}
        ).json()
        kill(two.doors[0])
        wait_for(lambda: ann.get(f"/api/v1/results/{id}").status_code == 200, 15)
        assert run(ann, 42).json()["outputs"] == {"red": 42 * 256 + 3}
        place = asked["url"].removeprefix(two.url).removeprefix(PATH)
        wait_for(lambda: job(two.doors[1], place)["state"] == "done", 60)
