"""Files that come to and from the Gradio pages: a visitor reads, keeps and gets nothing but what is theirs."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI

from hub.engine import Engine
from hub.web import server
from hub.web.page_files import own_folder
from tests.served import run_async
from tests.web.doors import png

META = {"_type": "gradio.FileData"}
HERE = str(Path(__file__).resolve())


@pytest.fixture(scope="module")
def hub(make_engine: Callable[..., Engine]) -> Iterator[httpx.Client]:
    """A whole hub with one page."""
    engine = make_engine(("shades",))
    engine.hardware()

    async def build() -> FastAPI:  # in a running event loop: outside of one, Gradio makes loops it never closes
        return server.build_app(engine)

    app, listener = run_async(build()), socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
        yield client
    serving.should_exit = True
    thread.join(10)


def somebody() -> dict[str, str]:
    return {"cookie": f"hub_session={secrets.token_urlsafe(32)}"}


def upload(hub: httpx.Client, who: dict[str, str], data: bytes | None = None, name: str = "photo.png") -> str:
    answer = hub.post("/gradio_api/upload", files={"files": (name, data or png())}, headers=who)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def run(hub: httpx.Client, picture: Any, who: dict[str, str]) -> str:
    """What the endpoint says of a value for its picture."""
    body = {"data": [picture, 0.5, 2, "front", "7"], "session_hash": secrets.token_hex(8)}
    answer = hub.post("/gradio_api/run/shades", json=body, headers=who)
    return answer.text


def forms(path: str) -> dict[str, Any]:
    return {
        "no meta": {"path": path},
        "meta": {"path": path, "meta": META},
        "url": {"path": path, "url": "/gradio_api/file=" + path},
        "list": [{"path": path}],
        "gallery": [{"image": {"path": path}, "caption": None}],
        "nested": {"image": {"path": path, "meta": META}},
        "still": {"path": path, "orig_name": HERE},
        "stream": {"path": path, "is_stream": True, "meta": META},
    }


@pytest.mark.parametrize("form", forms(""))
@pytest.mark.parametrize(
    "path", [HERE, "/etc/hostname", "/dev/zero", "/proc/self/environ", "/", "x", "\0", "~/x", "C:x"]
)
def test_no_form_of_payload_reads_a_file_of_the_machine(form: str, path: str, hub: httpx.Client) -> None:
    who = somebody()
    told = run(hub, forms(path)[form], who)
    assert "uploaded here by you" in told or "must be a picture file" in told, told
    assert hub.get("/api/v1/history", headers=who).json()["runs"] == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "https://example.org/x.png", "file:///etc/hostname"])
@pytest.mark.parametrize("form", ["path", "url", "both"])
def test_nothing_is_fetched(form: str, address: str, hub: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_get", never)
    values = {"path": {"path": address}, "url": {"url": address}, "both": {"path": address, "url": address}}
    for meta in ({}, {"meta": META}):
        assert "fetches nothing" in run(hub, {**values[form], **meta}, somebody())
    assert hub.get(f"/gradio_api/file={address}").status_code == 404


def test_what_was_uploaded_runs_and_another_visitor_may_not_use_it(hub: httpx.Client) -> None:
    mine, other = somebody(), somebody()
    path = upload(hub, mine)
    assert '"light"' in run(hub, {"path": path}, mine)
    assert '"light"' in run(hub, {"path": path, "orig_name": HERE, "url": "x", "meta": META}, mine)
    for who in (other, {}):
        assert "uploaded here by you" in run(hub, {"path": path, "meta": META}, who)
        assert hub.get(f"/gradio_api/file={path}", headers=who).status_code == 404
    assert hub.get(f"/gradio_api/file={path}", headers=mine).content == png()


def test_without_a_cookie_an_upload_belongs_to_the_address(hub: httpx.Client) -> None:
    path = upload(hub, {})
    assert '"light"' in run(hub, {"path": path}, {})
    assert '"light"' in run(hub, {"path": path}, somebody()), "its cookie came meanwhile"


def test_links_and_ways_around_lead_nowhere(hub: httpx.Client) -> None:
    who = somebody()
    path = Path(upload(hub, who))
    (path.parent / "link.png").symlink_to(HERE)
    os.mkfifo(path.parent / "pipe")
    (own_folder() / "stray.png").write_bytes(png())
    for bad in ("link.png", "pipe", "../stray.png", "..", ".", "../../../../etc/hostname"):
        text = f"{path.parent}/{bad}"
        assert "uploaded here by you" in run(hub, {"path": text}, who), bad
        assert hub.get(f"/gradio_api/file={text}", headers=who).status_code == 404, bad


def test_what_is_no_picture_is_not_kept(hub: httpx.Client) -> None:
    who = somebody()
    told = run(hub, {"path": upload(hub, who, b"root:secret", "passwd.png")}, who)
    assert "looks like" in told
    (failed,) = hub.get("/api/v1/history", headers=who).json()["runs"]
    assert failed["state"] == "failed"
    assert hub.get(f"/api/v1/history/{failed['id']}/inputs/image", headers=who).status_code == 404


def test_an_example_and_a_camera_frame_run(hub: httpx.Client) -> None:
    frame = {"url": "data:image/png;base64," + base64.b64encode(png()).decode()}
    assert '"light"' in run(hub, frame, {})
    assert "base64" in run(hub, {"url": "data:image/png;base64,!!!"}, {})
    assert "base64" in run(hub, {"url": "data:text/plain,hello"}, {})


def test_deleting_the_history_reaches_every_copy(hub: httpx.Client) -> None:
    who = somebody()
    first, second = upload(hub, who, png(colour="red")), upload(hub, who, png(colour="blue"))
    answers = [json.loads(run(hub, {"path": path}, who))["data"] for path in (first, second)]
    shown = [answer[0]["path"] for answer in answers]
    assert [hub.get(f"/gradio_api/file={path}", headers=who).status_code for path in (*shown, first)] == [200] * 3
    runs = {
        run["result"].rpartition("/")[2]: run["id"] for run in hub.get("/api/v1/history", headers=who).json()["runs"]
    }
    assert hub.delete(f"/api/v1/history/{runs[Path(shown[0]).parent.name]}", headers=who).status_code < 300
    assert not Path(first).exists() and not Path(shown[0]).exists()
    assert Path(second).exists() and Path(shown[1]).exists()
    assert hub.get(f"/gradio_api/file={first}", headers=who).status_code == 404
    assert hub.delete("/api/v1/history?all=true", headers=who).status_code < 300
    assert not Path(second).exists() and not Path(shown[1]).exists()
