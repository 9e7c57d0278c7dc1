"""Files that come to and from the Gradio pages: a visitor reads, keeps and gets nothing but what is theirs."""

from __future__ import annotations

import base64
import errno
import io
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from PIL import Image

from hub.decoding.decode import ImageLimits
from hub.errors import BusyError, InputError, TooLargeError
from hub.hub import Hub
from hub.pages import inputs
from hub.people.users import Caller
from hub.spec import ImageInput
from hub.web import server
from hub.web.gradio_door import left_folders, page_files, payloads
from hub.web.gradio_door.page_files import PageFiles, own_folder
from hub.web.gradio_ui import fields
from hub.web.middleware import sessions
from hub.web.parts import filled
from tests.fakes import shade_demo
from tests.served import run_async
from tests.web.doors import png

META = {"_type": "gradio.FileData"}
ENGINES: list[Hub] = []  # of the fixture
HERE = str(Path(__file__).resolve())


@pytest.fixture(scope="module")
def served(make_hub: Callable[..., Hub]) -> Iterator[httpx.Client]:
    """A whole hub with one page."""
    hub = make_hub(("shades",))
    hub.models.machine()
    ENGINES.append(hub)

    async def build() -> FastAPI:  # in a running event loop: outside of one, Gradio makes loops it never closes
        return server.build_app(hub)

    app, listener = run_async(build()), socket.create_server(("127.0.0.1", 0))
    serving = uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not serving.started:
        time.sleep(0.01)
    with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=60) as client:
        yield client
    serving.should_exit = True
    thread.join(10)


@pytest.fixture
def files(served: httpx.Client) -> Iterator[PageFiles]:
    """The files of its pages; what a test puts there goes with it."""
    hub = ENGINES[-1]
    (made,) = [one for one in hub._copies if isinstance(one, PageFiles)]
    yield made
    made._clock = time.monotonic
    for key in [*made._uploads]:
        made.drop(key)


def somebody() -> dict[str, str]:
    return {"cookie": f"hub_session={secrets.token_urlsafe(32)}"}


def upload(served: httpx.Client, who: dict[str, str], data: bytes | None = None, name: str = "photo.png") -> str:
    answer = served.post("/gradio_api/upload", files={"files": (name, data or png())}, headers=who)
    assert answer.status_code == 200, answer.text
    return str(answer.json()[0])


def run(served: httpx.Client, picture: Any, who: dict[str, str]) -> str:
    """What the endpoint says of a value for its picture."""
    body = {"data": [picture, 0.5, 2, "front", "7"], "session_hash": secrets.token_hex(8)}
    answer = served.post("/gradio_api/run/shades", json=body, headers=who)
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


@pytest.mark.slow
@pytest.mark.parametrize("form", forms(""))
@pytest.mark.parametrize(
    "path", [HERE, "/etc/hostname", "/dev/zero", "/proc/self/environ", "/", "x", "\0", "~/x", "C:x"]
)
def test_no_form_of_payload_reads_a_file_of_the_machine(form: str, path: str, served: httpx.Client) -> None:
    who = somebody()
    told = run(served, forms(path)[form], who)
    assert "uploaded here by you" in told or "must be a picture file" in told, told
    assert served.get("/api/v1/history", headers=who).json()["runs"] == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/x.png", "https://example.org/x.png", "file:///etc/hostname"])
@pytest.mark.parametrize("form", ["path", "url", "both"])
def test_nothing_is_fetched(form: str, address: str, served: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*arguments: Any, **named: Any) -> None:
        raise AssertionError("fetched")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_get", never)
    values = {"path": {"path": address}, "url": {"url": address}, "both": {"path": address, "url": address}}
    for meta in ({}, {"meta": META}):
        assert "fetches nothing" in run(served, {**values[form], **meta}, somebody())
    assert served.get(f"/gradio_api/file={address}").status_code == 404


def test_what_was_uploaded_runs_and_another_visitor_may_not_use_it(served: httpx.Client) -> None:
    mine, other = somebody(), somebody()
    path = upload(served, mine)
    assert '"light"' in run(served, {"path": path}, mine)
    assert '"light"' in run(served, {"path": path, "orig_name": HERE, "url": "x", "meta": META}, mine)
    for who in (other, {}):
        assert "uploaded here by you" in run(served, {"path": path, "meta": META}, who)
        assert served.get(f"/gradio_api/file={path}", headers=who).status_code == 404
    assert served.get(f"/gradio_api/file={path}", headers=mine).content == png()


def test_without_a_cookie_an_upload_belongs_to_the_address(served: httpx.Client) -> None:
    path = upload(served, {})
    assert '"light"' in run(served, {"path": path}, {})
    assert '"light"' in run(served, {"path": path}, somebody()), "its cookie came meanwhile"


def test_links_and_ways_around_lead_nowhere(served: httpx.Client) -> None:
    who = somebody()
    path = Path(upload(served, who))
    (path.parent / "link.png").symlink_to(HERE)
    os.mkfifo(path.parent / "pipe")
    (own_folder() / "stray.png").write_bytes(png())
    for bad in ("link.png", "pipe", "../stray.png", "..", ".", "../../../../etc/hostname"):
        text = f"{path.parent}/{bad}"
        assert "uploaded here by you" in run(served, {"path": text}, who), bad
        assert served.get(f"/gradio_api/file={text}", headers=who).status_code == 404, bad


def test_what_is_no_picture_is_not_kept(served: httpx.Client) -> None:
    who = somebody()
    told = run(served, {"path": upload(served, who, b"root:secret", "passwd.png")}, who)
    assert "looks like" in told
    (failed,) = served.get("/api/v1/history", headers=who).json()["runs"]
    assert failed["state"] == "failed"
    assert served.get(f"/api/v1/history/{failed['id']}/inputs/image", headers=who).status_code == 404


def test_a_camera_frame_runs_and_what_is_none_is_told(served: httpx.Client) -> None:
    frame = {"url": "data:image/png;base64," + base64.b64encode(png()).decode()}
    assert '"light"' in run(served, frame, {})
    assert "base64" in run(served, {"url": "data:image/png;base64,!!!"}, {})
    assert "base64" in run(served, {"url": "data:text/plain,hello"}, {})


def test_deleting_the_history_reaches_every_copy(served: httpx.Client) -> None:
    who = somebody()
    first, second = upload(served, who, png(colour="red")), upload(served, who, png(colour="blue"))
    answers = [json.loads(run(served, {"path": path}, who))["data"] for path in (first, second)]
    shown = [answer[0]["path"] for answer in answers]
    assert [served.get(f"/gradio_api/file={path}", headers=who).status_code for path in (*shown, first)] == [200] * 3
    runs = {
        run["result"].rpartition("/")[2]: run["id"] for run in served.get("/api/v1/history", headers=who).json()["runs"]
    }
    assert served.delete(f"/api/v1/history/{runs[Path(shown[0]).parent.name]}", headers=who).status_code < 300
    assert not Path(first).exists() and not Path(shown[0]).exists()
    assert Path(second).exists() and Path(shown[1]).exists()
    assert served.get(f"/gradio_api/file={first}", headers=who).status_code == 404
    assert served.delete("/api/v1/history?all=true", headers=who).status_code < 300
    assert not Path(second).exists() and not Path(shown[1]).exists()


@pytest.mark.parametrize("way", ["call", "queue/join"])
def test_the_queue_refuses_the_same(way: str, served: httpx.Client) -> None:
    body: dict[str, Any] = {"data": [{"path": HERE}, 0.5, 2, "front", "7"]}
    if way == "call":
        event = served.post("/gradio_api/call/shades", json=body).json()["event_id"]
        heard = served.get(f"/gradio_api/call/shades/{event}").text
    else:
        endpoints = served.get("/config").json()["dependencies"]
        (index,) = [one["id"] for one in endpoints if one["api_name"] == "shades"]
        served.post(
            "/gradio_api/queue/join", json={**body, "fn_index": index, "session_hash": "tab"}
        ).raise_for_status()
        with served.stream("GET", "/gradio_api/queue/data?session_hash=tab") as answer:
            heard = next(line for line in answer.iter_lines() if "process_completed" in line)
    assert "uploaded here by you" in heard


def test_a_still_stands_for_its_picture_and_goes_with_it(files: PageFiles, tmp_path: Path) -> None:
    me, data = Caller(session="cookie me"), io.BytesIO()
    Image.new("RGB", (32, 24), "red").save(data, "TIFF")
    sent = files.keep(files.begin(me), "a.tiff", data.getvalue())
    shown = fields.input_component(ImageInput("image", "Photo")).postprocess(sent)
    assert shown.path != sent
    find = partial(files.find, me)
    assert payloads.admit_value({"path": shown.path, "orig_name": HERE}, find, 100)["orig_name"] == sent
    with pytest.raises(InputError, match="uploaded"):
        files.find(Caller(session="cookie other"), shown.path)
    files.forget(me, None)
    assert not Path(shown.path).exists()


def test_the_pictures_of_a_run_that_is_opened_again_are_its_owners(served: httpx.Client, files: PageFiles) -> None:
    who = somebody()
    run(served, {"path": upload(served, who, png(colour="green"))}, who)
    me = Caller(session=sessions.session_of({"hub_session": who["cookie"].partition("=")[2]}))
    history = files._hub.history
    (entry,), _ = history.search(history.owner(me))
    again = filled.Filled()
    filled.fill_run(files._hub, files._hub.registry.get("shades"), entry, files.results, again)
    path = again.values["image"]
    assert served.get(f"/gradio_api/file={path}", headers=who).content == png(colour="green")
    assert '"light"' in run(served, {"path": path}, who)
    assert served.get(f"/gradio_api/file={path}", headers=somebody()).status_code == 404
    assert "uploaded here by you" in run(served, {"path": path}, somebody())
    served.delete(f"/api/v1/history/{entry.id}", headers=who).raise_for_status()
    assert not Path(path).exists()


# --- how much -------------------------------------------------------------------------------------


def filling(files: PageFiles, who: Caller, count: int, size: int = 0) -> list[str]:
    """Uploads that all but fill what one may have."""
    paths = []
    for n in range(count):
        key = files.begin(who)
        paths.append(files.keep(key, "a.png", b"%d" % n))
        try:
            files.count(key, size)
        except BusyError:
            files.drop(key)
            raise
    return paths


def test_one_caller_cannot_fill_the_disk_and_runs_make_room(files: PageFiles) -> None:
    me, other = Caller(session="cookie me", address="10.0.0.1"), Caller(session="cookie other", address="10.0.0.2")
    paths = filling(files, me, 8, files.largest - 1)
    with pytest.raises(BusyError, match="as much as this hub holds for one"):
        filling(files, me, 1, files.largest)
    assert all(Path(path).exists() for path in paths)
    filling(files, other, 1, files.largest - 1)
    files.find(me, paths[3], use=True)
    filling(files, me, 1, files.largest - 1)
    assert [Path(path).exists() for path in paths] == [n != 3 for n in range(8)]


def test_many_browsers_of_one_address_are_bounded_together(files: PageFiles) -> None:
    paths = []
    for n in range(40):
        paths += filling(files, Caller(session=f"cookie {n}", address="10.0.0.9"), 1, files.largest - 1)
    kept = [number for number, path in enumerate(paths) if Path(path).exists()]
    assert kept == [*range(40 - page_files.OF_ADDRESS, 40)]  # the oldest went


def test_uploads_leave_after_minutes_and_stay_while_they_are_used(files: PageFiles) -> None:
    me, now = Caller(session="cookie me"), [0.0]
    files._clock = lambda: now[0]
    used, left = filling(files, me, 2)
    for _ in range(3):
        now[0] += 600
        files.find(me, used, use=True)
    assert not Path(left).exists()
    with pytest.raises(InputError, match="Choose the picture again"):
        files.find(me, left)
    now[0] += 1000
    files.sweep()
    assert not Path(used).exists()


def test_an_upload_of_many_files_is_refused_and_leaves_nothing(served: httpx.Client) -> None:
    before = {*own_folder().rglob("*")}
    answer = served.post("/gradio_api/upload", files=[("files", (f"{n}.png", b"x" * 1000)) for n in range(40)])
    assert answer.status_code == 413
    assert "8 files" in answer.text
    large = served.post("/gradio_api/upload", files={"files": ("a.png", b"x" * (20 * 2**20 + 1))})
    assert (large.status_code, large.text) == (413, "The file has 20.0 MB; at most 20 MB are read.")
    assert served.post("/gradio_api/upload", content=b"x", headers={"content-type": "image/png"}).status_code == 422
    assert (
        served.post("/gradio_api/upload", content=b"x", headers={"content-type": "multipart/form-data"}).status_code
        < 500
    )
    assert {*own_folder().rglob("*")} == before


@pytest.mark.parametrize(
    "name", ["../../x.png", "..", "a\\b.png", "x" * 300 + ".png", "é😀.png", "/etc/passwd", ".bashrc"]
)
def test_names_of_uploads_stay_in_their_folder(name: str) -> None:
    kept = page_files.file_name(name)
    assert kept not in ("", ".", "..") and not kept.startswith(".") and "/" not in kept and len(kept.encode()) <= 100


def test_a_page_asks_how_far_its_upload_is_and_does_not_wait(served: httpx.Client) -> None:
    assert served.get("/gradio_api/upload_progress?upload_id=x").text == 'data: {"msg":"done"}\n\n'


def test_what_a_killed_hub_left_goes_with_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "demo-hub-dead").mkdir()
    (tmp_path / "demo-hub-dead" / ".in-use").touch()
    (tmp_path / "demo-hub-other").mkdir()
    first = left_folders.make_folder(str(tmp_path))
    second = left_folders.make_folder(str(tmp_path))
    assert first.exists() and second.exists()
    assert not (tmp_path / "demo-hub-dead").exists() and (tmp_path / "demo-hub-other").exists()


def test_a_file_that_never_ends_is_read_within_the_limit() -> None:
    demo = shade_demo(inputs=(ImageInput("image", "Photo"),))
    with pytest.raises(TooLargeError, match="at most"):
        inputs.read(demo, {"image": Path("/dev/zero")}, ImageLimits(max_bytes=10_000))


def test_pictures_that_pages_show_are_bounded_in_bytes(tmp_path: Path) -> None:
    for n in range(5):
        (tmp_path / str(n)).mkdir()
        (tmp_path / str(n) / "a.png").write_bytes(b"x" * 1000)
        os.utime(tmp_path / str(n), (time.time() - 100 + n,) * 2)
    left_folders.remove_old(tmp_path, most_bytes=2500)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]


def test_a_page_is_told_in_its_language_and_a_client_in_english(served: httpx.Client) -> None:
    chinese = {**somebody(), "accept-language": "zh-CN"}
    assert "uploaded here by you" in run(served, {"path": HERE}, chinese)
    endpoints = served.get("/config").json()["dependencies"]
    (event, *_) = [one for one in endpoints if one["api_visibility"] == "private" and len(one["inputs"]) == 5]
    body = {"data": [{"path": HERE}, 0.5, 2, "front", "7"], "fn_index": event["id"], "session_hash": "x"}
    answer = served.post("/gradio_api/run/predict", json=body, headers=chinese)
    assert "重新选择图片" in answer.json()["error"]


def test_a_full_disk_is_told(served: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    answer = served.post("/gradio_api/upload", files={"files": ("a.png", png())})
    assert (answer.status_code, answer.text) == (503, "The upload cannot be kept: No space left on device.")


@pytest.mark.parametrize("path", ["/net/evil.example/x.png", "/proc/1/root/x", "//evil.example/x.png", "/tmp"])
def test_a_path_outside_is_not_even_looked_at(path: str, files: PageFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    def looked(*arguments: Any, **named: Any) -> None:
        raise AssertionError("looked at the disk")

    with monkeypatch.context() as patch:
        for name in ("lstat", "stat", "readlink"):
            patch.setattr(os, name, looked)
        with pytest.raises(InputError, match="uploaded"):
            files.find(Caller(), path, use=True)


@pytest.mark.parametrize("value", ["x.png", ["http://example.org/x.png"], [["x"]], 7, {"a": 1}, [{"path": None}]])
def test_a_value_of_another_shape_is_told_in_words(value: Any, served: httpx.Client) -> None:
    told = run(served, value, {})
    words = ("must be a picture file", "must be text", "is missing")
    assert "pydantic" not in told and any(one in told for one in words), told


def test_values_that_are_left_out_are_told(served: httpx.Client) -> None:
    answer = served.post("/gradio_api/run/shades", json={"data": []})
    assert (answer.status_code, answer.json()["error"]) == (422, "This takes 5 values, got 0.")


@pytest.mark.parametrize(("value", "status"), [({"path": HERE}, 422), (None, 422), ({"path": "http://a/x"}, 422)])
def test_a_refusal_is_no_failure_of_the_hub_to_who_asks_directly(value: Any, status: int, served: httpx.Client) -> None:
    body = {"data": [value, 0.5, 2, "front", "7"]}
    answer = served.post("/gradio_api/run/shades", json=body)
    assert (answer.status_code, set(answer.json())) == (status, {"error", "duration", "title", "visible"})


def test_nobody_keeps_others_from_uploading_by_leaving_many(served: httpx.Client, files: PageFiles) -> None:
    for number in range(page_files.OF_ALL * page_files.FILES):
        crowd = number % 8
        files.keep(files.begin(Caller(session=f"cookie {crowd}", address=f"10.{crowd % 2}.0.1")), "a.png", b"x")
    files.keep(files.begin(Caller(session="cookie honest", address="10.9.0.1")), "a.png", b"x")
    assert len(files._uploads) == page_files.OF_ALL * page_files.FILES
    assert any(one.owner == "cookie honest" for one in files._uploads.values())


def test_who_only_looks_at_an_upload_does_not_keep_it(served: httpx.Client, files: PageFiles) -> None:
    who = somebody()
    path, later = upload(served, who), time.monotonic() + page_files.KEPT_S * 0.9
    files._clock = lambda: later
    assert served.get(f"/gradio_api/file={path}", headers=who).status_code == 200
    files._clock = lambda: later + page_files.KEPT_S * 0.2
    assert served.get(f"/gradio_api/file={path}", headers=who).status_code == 404


def test_a_call_that_names_a_session_is_answered(served: httpx.Client) -> None:
    body = {"data": [None, 0.5, 2, "front", "7"], "session_hash": "of-a-program"}
    event = served.post("/gradio_api/call/shades", json=body).json()["event_id"]
    with served.stream("GET", f"/gradio_api/call/shades/{event}") as answer:
        assert answer.status_code == 200
        assert "is missing" in answer.read().decode()
