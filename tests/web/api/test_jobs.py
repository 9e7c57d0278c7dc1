"""Jobs through the REST door: asked for, found again, cancelled; many pictures as one."""

from __future__ import annotations

import csv
import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.web.api import job_events
from tests.fakes import wait_until
from tests.web.doors import app_of, become, png

ASYNC = {"Prefer": "respond-async"}
ENDED = ("done", "failed", "cancelled")


@pytest.fixture
def hub(make_hub: Callable[..., Hub]) -> Iterator[Hub]:
    hub = make_hub(jobs_each=3, batch_pictures=30)
    hub.jobs.start()
    yield hub
    hub.jobs.close()


@pytest.fixture
def client(hub: Hub) -> TestClient:
    return TestClient(app_of(hub))


def ask(client: TestClient, slug: str = "shades", **fields: Any) -> Any:
    return client.post(f"/api/v1/demos/{slug}", files={"image": png()}, data=fields, headers=ASYNC)


def ended(client: TestClient, url: str) -> Any:
    """A job once it has ended."""
    wait_until(lambda: client.get(url).json()["state"] in ENDED, url)
    return client.get(url).json()


def zipped(files: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, data in files.items():
            opened.writestr(name, data)
    return file.getvalue()


def with_hidden_list(count: int) -> bytes:
    """A ZIP whose end tells of one file, and whose second end, which zipfile believes, of many more."""
    plain = zipped({f"{number}.png": b"" for number in range(count)})
    at = plain.rfind(b"PK\5\6")
    size, offset = struct.unpack("<LL", plain[at + 12 : at + 20])
    second = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    where = struct.pack("<4sLQL", b"PK\6\7", 0, at, 1)
    return plain[:at] + second + where + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 46, offset, 0)


def batch(client: TestClient, *files: tuple[str, bytes], query: str = "", headers: Any = None, **fields: Any) -> Any:
    return client.post(
        f"/api/v1/demos/shades/batch{query}", files=[("files", file) for file in files], data=fields, headers=headers
    )


def rows(client: TestClient, job: Any, query: str = "") -> list[Any]:
    return list(client.get(f"{job['links']['rows']}{query}").json()["rows"])


# --- one run --------------------------------------------------------------------------------------


def test_a_run_that_is_asked_for_later_has_the_result_that_it_has_at_once(client: TestClient) -> None:
    answer = ask(client, threshold="0.25", seed="7")
    job = answer.json()
    assert answer.status_code == 202 and answer.headers["location"] == job["url"]
    assert answer.headers["preference-applied"] == "respond-async" and job["settings"]["seed"] == 7
    assert ended(client, job["url"])["state"] == "done"
    result = client.get(job["links"]["result"]).json()
    again = client.post("/api/v1/demos/shades", files={"image": png()}, data={"threshold": "0.25", "seed": "7"}).json()
    assert again["id"] == result["id"] and again["outputs"] == result["outputs"]
    assert client.get(client.get(job["url"]).json()["result"]).status_code == 200


def test_what_is_wrong_with_a_run_is_told_at_once_or_in_the_job(client: TestClient) -> None:
    assert ask(client, threshold="9").json()["field"] == "threshold"
    job = client.post("/api/v1/demos/shades", files={"image": b"no picture"}, headers=ASYNC).json()
    problem = ended(client, job["url"])["problem"]
    assert (problem["code"], problem["status"]) == ("unsupported_media", 415)
    assert client.get(job["links"]["result"]).status_code == 415
    assert client.get("/api/v1/jobs/0123").status_code == 404


def test_the_same_key_is_the_same_job_and_another_request_with_it_is_refused(client: TestClient) -> None:
    headers = {**ASYNC, "Idempotency-Key": "abc"}
    both = [client.post("/api/v1/demos/slow", data={"prompt": "x"}, headers=headers).json()["id"] for _ in range(2)]
    assert both[0] == both[1]
    other = client.post("/api/v1/demos/slow", data={"prompt": "y"}, headers=headers)
    assert other.status_code == 409 and "abc" in other.json()["detail"]


def test_a_job_is_cancelled_by_who_asked_only_and_deleted_once_it_has_ended(client: TestClient) -> None:
    become(client, {"hub_session": "a" * 40})
    job = client.post("/api/v1/demos/slow", data={"seconds": "50"}, headers=ASYNC).json()
    assert [one["id"] for one in client.get("/api/v1/jobs").json()["jobs"]] == [job["id"]]
    become(client, {"hub_session": "b" * 40})
    assert client.get("/api/v1/jobs").json()["jobs"] == []
    assert client.delete(job["url"]).status_code == 403
    become(client, {"hub_session": "a" * 40})
    wait_until(lambda: client.get(job["url"]).json()["state"] == "running")
    assert client.delete(job["url"]).json()["state"] == "cancelled"
    assert client.get(job["links"]["result"]).status_code == 409
    assert client.delete(job["url"]).status_code == 204
    assert client.get(job["url"]).status_code == 404


def test_a_caller_has_so_many_jobs_and_each_knows_its_place_and_time(client: TestClient) -> None:
    client.post("/api/v1/demos/slow", data={"seconds": "0.1"})  # which measures the page
    become(client, {"hub_session": "a" * 40})

    def slow(prompt: str) -> Any:
        return client.post("/api/v1/demos/slow", data={"seconds": "50", "prompt": prompt}, headers=ASYNC)

    jobs = [slow(prompt).json() for prompt in "abc"]
    wait_until(lambda: client.get(jobs[1]["url"]).json()["state"] == "running")
    refused = slow("d")
    assert refused.status_code == 429 and "3 jobs" in refused.json()["detail"] and refused.headers["retry-after"]
    last = client.get(jobs[2]["url"]).json()
    assert (last["state"], last["place"]) == ("queued", 1) and last["left_s"] > 0
    become(client, {"hub_session": "c" * 40})
    other = slow("e").json()
    assert client.get(other["url"]).json()["place"] in (1, 2)
    become(client, {"hub_session": "a" * 40})
    for job in jobs:
        client.delete(job["url"])


def test_a_jobs_progress_is_told_until_it_has_ended(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_events, "LOOK_S", 0.02)
    job = client.post("/api/v1/demos/slow", data={"seconds": "0.3"}, headers=ASYNC).json()
    answer = client.get(job["links"]["events"])
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: ")]
    assert told[-1]["state"] == "done" and told[-1]["result"] and all(one["id"] == job["id"] for one in told)
    assert any(one["state"] == "running" and one["progress"]["step"] for one in told)
    again = client.get(job["links"]["events"]).text
    assert again.count("event: job") == 1, "it has ended"
    assert client.get(f"/api/v1/jobs/{'0' * 32}/events").status_code == 404
    monkeypatch.setattr(job_events, "OF_ADDRESS", 0)
    assert client.get(job["links"]["events"]).status_code == 429


# --- many pictures --------------------------------------------------------------------------------


def test_a_batch_is_a_table_in_which_bad_files_say_what_is_wrong(client: TestClient) -> None:
    white, black = png(colour="white"), png(colour="black")
    archive = zipped({
        "a/white.png": white, "../../b.png": black, "__MACOSX/._b.png": b"x", "a/notes.txt": b"no picture",
        "a/.DS_Store": b"",
    })  # fmt: skip
    answer = batch(client, ("one.png", white), ("all.zip", archive), threshold="0.75")
    assert answer.status_code == 202, answer.text
    job = ended(client, answer.json()["url"])
    assert (job["state"], job["progress"]["done"], job["progress"]["failed"]) == ("done", 3, 1)
    assert [row["file"] for row in rows(client, job)] == ["one.png", "a/white.png", "b.png", "a/notes.txt"]
    assert [row["answer"] for row in rows(client, job)] == ["light", "light", "dark", ""]
    assert "looks like text" in rows(client, job, "?state=failed")[0]["problem"]
    assert [row["file"] for row in rows(client, job, "?answer=dark")] == ["b.png"]
    assert next(row["number"] for row in rows(client, job, "?order=-number")) == 4
    assert client.get(rows(client, job)[0]["result"]).json()["outputs"]["shares"]["light"] == 1
    assert client.get(rows(client, job)[2]["thumbnail"]).headers["content-type"] == "image/webp"
    assert client.get(rows(client, job)[3]["thumbnail"]).status_code == 404
    summary = client.get(job["links"]["summary"]).json()
    assert summary["names"] == [["light", 2], ["dark", 1]] and summary["score"] is None


def test_a_batch_comes_as_csv_json_lines_and_pictures(client: TestClient) -> None:
    job = ended(client, batch(client, ("=1+1.png", png()), ("x.txt", b"?")).json()["url"])
    sheet = client.get(job["links"]["csv"])
    table = [*csv.DictReader(io.StringIO(sheet.content.decode("utf-8-sig")))]
    assert [row["file"] for row in table] == ["'=1+1.png", "x.txt"] and table[0]["result"].startswith("http://")
    assert "attachment" in sheet.headers["content-disposition"]
    lines = [json.loads(line) for line in client.get(job["links"]["json_lines"]).text.splitlines()]
    assert lines[0]["outputs"]["shares"]["light"] and lines[1]["outputs"] is None and lines[1]["problem"]
    with zipfile.ZipFile(io.BytesIO(client.get(job["links"]["pictures"]).content)) as opened:
        names = opened.namelist()
        assert "00001-=1+1-picture.jpg" in names and "x.txt" in opened.read("not_there.txt").decode()


def test_with_a_folder_per_class_or_a_table_of_labels_a_batch_is_scored(client: TestClient) -> None:
    white, black = png(colour="white"), png(colour="black")
    files = {"set/Light/1.png": white, "set/Dark/2.png": black, "set/Dark/3.png": white}
    job = ended(client, batch(client, ("all.zip", zipped(files))).json()["url"])
    score = client.get(job["links"]["summary"]).json()["score"]
    (figure,) = score["figures"]
    assert figure["name"] == "accuracy" and figure["value"] == pytest.approx(2 / 3, abs=1e-5)
    assert (figure["low"], figure["high"]) == (pytest.approx(0.2077, abs=1e-4), pytest.approx(0.9385, abs=1e-4))
    assert (score["classes"], score["confusion"]) == (["dark", "light"], [[1, 1], [0, 1]])
    assert [row["file"] for row in rows(client, job, "?wrong=true")] == ["set/Dark/3.png"]
    flat_names = {name.replace("set/Light", "a").replace("set/Dark", "b"): data for name, data in files.items()}
    other = ended(client, batch(client, ("all.zip", zipped(flat_names))).json()["url"])
    assert client.get(other["links"]["summary"]).json()["score"]["figures"] == [], "folders that are no classes"
    labels = ("labels.csv", b"image,label\n1.png,light\n2.png,light\n")
    flat = batch(client, ("1.png", white), ("2.png", black), labels).json()
    assert client.get(ended(client, flat["url"])["links"]["summary"]).json()["score"]["figures"][0]["value"] == 0.5
    none = batch(client, ("all.zip", zipped(files)), query="?truth=none").json()
    assert ended(client, none["url"])["labelled"] is False


@pytest.mark.parametrize(
    ("name", "data", "status", "text"),
    [
        ("cut.zip", zipped({"a.png": png()})[:-30], 422, "cut off"),
        ("bad.zip", b"PK\x03\x04" + b"\0" * 100, 422, "cut off"),
        ("many.zip", zipped({f"{n}.png": b"x" for n in range(31)}), 413, "31 files"),
        ("empty.zip", zipped({"__MACOSX/x": b""}), 422, "no picture"),
        ("hidden.zip", with_hidden_list(5000), 422, "ZIP64"),
    ],
)
def test_a_zip_that_is_none_or_holds_too_much_is_refused(
    client: TestClient, hub: Hub, name: str, data: bytes, status: int, text: str
) -> None:
    answer = batch(client, (name, data))
    assert answer.status_code == status and text in answer.json()["detail"]
    assert [path.name for path in hub.jobs.folders.root.iterdir() if path.is_dir()] == [], "nothing is left behind"


def test_a_file_that_unpacks_to_very_much_is_one_bad_row(client: TestClient, hub: Hub) -> None:
    bomb = zipped({"bomb.png": bytes(hub.limits.max_bytes * 3), "good.png": png()})
    job = ended(client, batch(client, ("bomb.zip", bomb)).json()["url"])
    assert [row["state"] for row in rows(client, job)] == ["failed", "done"]
    assert "MB" in rows(client, job)[0]["problem"]


def test_a_batch_is_for_pages_of_one_picture_and_for_forms(client: TestClient) -> None:
    assert client.post("/api/v1/demos/slow/batch", files={"files": b"x"}).status_code == 422
    assert client.post("/api/v1/demos/shades/batch", json={}).status_code == 415
    assert batch(client, ("a.png", png()), threshold="7").json()["field"] == "threshold"
    assert batch(client, ("a.png", png()), query="?truth=maybe").json()["field"] == "truth"


def test_the_pages_visitors_see_nothing_of_a_batch_in_their_history(client: TestClient) -> None:
    become(client, {"hub_session": "h" * 40})
    ended(client, batch(client, ("a.png", png(colour="olive"))).json()["url"])
    assert client.get("/api/v1/history").json()["total"] == 0
    ended(client, ask(client).json()["url"])
    assert client.get("/api/v1/history").json()["total"] == 1


def test_an_answer_of_a_batch_is_corrected_by_who_asked_for_it(client: TestClient) -> None:
    become(client, {"hub_session": "k" * 40})
    job = ended(client, batch(client, ("a.png", png(30, 20, "navy")), ("x.txt", b"?")).json()["url"])
    place = f"{job['links']['page']}/1/correction"
    assert "data-correction" in client.get(place).text and client.get(place.replace("/1/", "/2/")).status_code == 404
    assert client.get(f"{job['url']}/rows/1/picture").headers["picture-size"] == "30x20"
    said = {"verdict": "wrong", "correction": '{"shares": "light"}', "keep": "on"}
    answer = client.post(place, data=said)
    assert answer.status_code == 201 and "You said: Wrong, light" in answer.text and "with its picture" in answer.text
    (kept,) = client.get("/api/v1/corrections").json()["corrections"]
    assert (kept["correction"], [*kept["pictures"]]) == ({"shares": "light"}, ["image"])
    assert "hub-kept" in client.get(place).text and "data-correction" in client.get(f"{place}?again=1").text
    become(client, {"hub_session": "l" * 40})
    assert client.get(place).text == "" and client.post(place, data=said).status_code == 403
