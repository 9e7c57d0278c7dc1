"""What REST refuses: each with the status, code and field that fit, and the next request works."""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from tests.web.doors import app_of, png

RUN, SLOW = "/api/v1/demos/shades", "/api/v1/demos/slow"
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=x"}
JSON = {"Content-Type": "application/json"}


@pytest.fixture(autouse=True)
def _the_next_request_works(client: TestClient) -> Iterator[None]:
    yield
    assert client.post(RUN, files={"image": png()}, data={"seed": "1"}).status_code == 200


def told(answer: Any, status: int, code: str, field: str | None = None) -> str:
    """Checks the problem document; returns its detail."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:demo-hub:problem:{code}"
    assert (problem["status"], problem["code"], problem.get("field")) == (status, code, field)
    assert problem["title"]
    assert problem["instance"].startswith("/")
    assert "Traceback" not in answer.text
    return str(problem["detail"])


def bomb() -> bytes:
    """A PNG of a few bytes that declares 144 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 12_000, 12_000, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(999))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("picture", "status", "code", "says"),
    [
        (bomb(), 413, "too_large", "144.0 megapixels"),
        (png(200, 200)[:120], 422, "invalid_input", "cut off or damaged"),
        (b"%PDF-1.7 ...", 415, "unsupported_media", "PDF"),
        (b"", 422, "invalid_input", "empty file"),
        (png(4, 4), 422, "invalid_input", "at least 8 pixels"),
    ],
)
def test_a_bad_picture_is_refused_alike_as_a_file_and_in_base64(
    client: TestClient, picture: bytes, status: int, code: str, says: str
) -> None:
    detail = told(client.post(RUN, files={"image": ("photo.png", picture)}), status, code, "image")
    assert says in detail
    if picture:
        text = base64.b64encode(picture).decode()
        assert told(client.post(RUN, json={"image": text}), status, code, "image") == detail


@pytest.mark.parametrize(
    ("fields", "field", "says"),
    [
        ({"threshold": "300"}, "threshold", "threshold must be between 0 and 1, got 300"),
        ({"threshold": "nan"}, "threshold", "got nan"),
        ({"threshold": "high"}, "threshold", "'high'"),
        ({"count": "1.5"}, "count", "whole number between 1 and 4 pictures"),
        ({"view": "fron"}, "view", "Did you mean 'front'?"),
        ({"treshold": "0.5"}, "treshold", "Did you mean 'threshold'?"),
        ({"seed": "-5"}, "seed", "from 0 to 4294967295"),
        ({"count": ["1", "2"]}, "count", "more than once"),
    ],
)
def test_a_bad_parameter_names_the_field_and_what_is_allowed(
    client: TestClient, fields: dict[str, Any], field: str, says: str
) -> None:
    assert says in told(client.post(RUN, files={"image": png()}, data=fields), 422, "invalid_input", field)


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        ('{"threshold": NaN, "image": "%s"}', "threshold", "got nan"),
        ('{"threshold": [1], "image": "%s"}', "threshold", "a list"),
        ('{"count": true, "image": "%s"}', "count", "got true"),
        ('{"image": "not base64!"}', "image", "not valid base64"),
        ('{"image": "data:image/png,plain"}', "image", "not valid base64"),
        ('{"' + "x" * 10_000 + '": 1}', "x" * 100, "…"),
        ('{"image": 5}', "image", "must be a picture file, got 5"),
        ('{"image": null}', "image", "image is missing"),
        ('{"count": 1, "count": 2, "image": "%s"}', "count", "more than once"),
        ('{"\\ud800": 1, "image": "%s"}', "?", "No input"),
    ],
)
def test_json_of_wrong_types_names_the_field(client: TestClient, body: str, field: str, says: str) -> None:
    body = body.replace("%s", base64.b64encode(png()).decode())
    assert says in told(client.post(RUN, content=body, headers=JSON), 422, "invalid_input", field)


@pytest.mark.parametrize(
    "body", ["{", "[1]", "", "null", "[" * 100_000, '{"seed": ' + "9" * 5000 + "}", b"\xff\xfe{", '{"a": 1} x']
)
def test_what_is_not_a_json_object_is_malformed(client: TestClient, body: str | bytes) -> None:
    assert "JSON" in told(client.post(RUN, content=body, headers=JSON), 400, "malformed_request")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"no boundary in it", "not valid multipart"),
        (b'--x\r\nContent-Disposition: form-data; name="seed"\r\n\r\n1', "cut off"),
        (b"", "cut off"),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n", "no name"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n' * 70 + b"--x--\r\n", "more than 64 parts"),
    ],
)
def test_a_broken_form_is_malformed(client: TestClient, body: bytes, says: str) -> None:
    assert says in told(client.post(RUN, content=body, headers=BOUNDARY), 400, "malformed_request")


def test_a_form_without_boundary_is_malformed(client: TestClient) -> None:
    headers = {"Content-Type": "multipart/form-data"}
    assert "boundary" in told(client.post(RUN, content=b"x", headers=headers), 400, "malformed_request")


def test_fields_and_files_that_are_swapped_or_not_text_are_told(client: TestClient) -> None:
    swapped = client.post(SLOW, files={"seconds": ("a.png", png())})
    assert "not as a file" in told(swapped, 422, "invalid_input", "seconds")
    body = b'--x\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n\xff\xfe\r\n--x--\r\n'
    assert "UTF-8" in told(client.post(SLOW, content=body, headers=BOUNDARY), 422, "invalid_input", "prompt")
    empty = client.post(RUN, files={"image": ("", b"", "application/octet-stream")}, data={"seed": "1"})
    assert "image is missing" in told(empty, 422, "invalid_input", "image")


def test_a_missing_body_names_the_first_missing_input(client: TestClient) -> None:
    assert "image is missing" in told(client.post(RUN), 422, "invalid_input", "image")


@pytest.mark.parametrize(
    "headers", [{"Content-Type": "image/png"}, {"Content-Type": "text/plain"}, {}, {**JSON, "Content-Encoding": "gzip"}]
)
def test_other_content_types_are_unsupported(client: TestClient, headers: dict[str, str]) -> None:
    told(client.post(RUN, content=png(), headers=headers), 415, "unsupported_media")


@pytest.mark.parametrize(
    ("method", "path", "says"),
    [
        ("POST", "/api/v1/demos/shade", "Did you mean 'shades'?"),
        ("GET", "/api/v1/demos/shade", "Did you mean 'shades'?"),
        ("GET", "/api/v1/results/" + "0" * 32, "kept for 30 days"),
        ("GET", "/api/v1/results/%2e%2e", "no result"),
        ("GET", "/api/v1/nothing", "openapi.json"),
        ("POST", "/api/v2/demos", "openapi.json"),
        ("GET", "/api", "openapi.json"),
        ("GET", "/api/v1/demos/", "openapi.json"),
    ],
)
def test_what_is_not_there_is_404(client: TestClient, method: str, path: str, says: str) -> None:
    assert says in told(client.request(method, path), 404, "not_found")


def test_an_unknown_output_of_a_result_is_404(client: TestClient) -> None:
    id = client.post(RUN, files={"image": png()}, data={"seed": "1"}).json()["id"]
    assert "there is: picture" in told(client.get(f"/api/v1/results/{id}/overlay"), 404, "not_found")
    assert "no picture 9" in told(client.get(f"/api/v1/results/{id}/copies/9"), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", RUN, "GET, POST, HEAD"),
        ("POST", "/api/v1/demos", "GET, HEAD"),
        ("PUT", "/healthz", "GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
    ],
)
def test_wrong_methods_are_405_with_those_allowed(client: TestClient, method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    told(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == allowed


def test_other_paths_are_left_to_the_pages(client: TestClient) -> None:
    assert client.get("/somewhere").headers["content-type"] == "application/json"  # FastAPI's own answer


def test_faults_of_a_demo_are_500_without_a_traceback(client: TestClient) -> None:
    assert "a bug in the demo" in told(client.post("/api/v1/demos/faulty"), 500, "internal_error")
    assert "broken.py" in told(client.post("/api/v1/demos/broken"), 500, "declaration_error")


def test_faults_of_the_hub_are_500_without_details(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    def burst(*arguments: Any, **named: Any) -> None:
        raise ZeroDivisionError("the secret is 42")

    monkeypatch.setattr(hub.engine, "run", burst)
    detail = told(TestClient(app_of(hub)).post(SLOW), 500, "internal_error")
    assert "42" not in detail


def test_missing_weights_are_503_with_what_to_do(client: TestClient) -> None:
    assert "nowhere" in told(client.post("/api/v1/demos/absent"), 503, "unavailable")
    answer = client.post("/api/v1/demos/absent", json={"weights": "nothin"})
    assert "Did you mean 'nothing'?" in told(answer, 422, "invalid_input", "weights")


def test_the_deadline_is_504(make_hub: Callable[..., Hub]) -> None:
    client = TestClient(app_of(make_hub(deadline_s=1.0)))
    told(client.post(SLOW, json={"seconds": 20}), 504, "deadline")
    assert client.post(SLOW, json={"seconds": 0}).status_code == 200


def test_a_picture_over_the_limit_names_it_and_a_body_over_the_limit_is_refused(
    make_hub: Callable[..., Hub],
) -> None:
    client = TestClient(app_of(make_hub(max_upload_mb=0.5)))
    large = b"\xff\xd8\xff" + bytes(700_000)
    assert "at most 0.5 MB" in told(client.post(RUN, files={"image": large}), 413, "too_large", "image")
    text = base64.b64encode(large).decode()
    told(client.post(RUN, json={"image": text}), 413, "too_large", "image")
    for body in (bytes(2_000_000), json.dumps({"image": "A" * 2_200_000}).encode()):
        kind = JSON if body.startswith(b"{") else BOUNDARY
        assert "MB that are read" in told(client.post(RUN, content=body, headers=kind), 413, "too_large")


def test_httpx_parses_problems_of_a_served_hub(serve: Callable[..., tuple[str, Hub]]) -> None:
    url, _ = serve()
    told(httpx.post(url + RUN, timeout=60), 422, "invalid_input", "image")


def test_a_file_for_an_input_that_is_not_there_is_told_which_there_are(client: TestClient) -> None:
    said = told(client.post(RUN, files={"zzz": png()}), 422, "invalid_input", "zzz")
    assert "'zzz'" in said and "image" in said and "UTF-8" not in said
