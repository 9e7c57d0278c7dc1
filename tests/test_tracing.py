"""One trace from the door through every part of a run, told to a collector; and what none of it may cost or tell."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio_client import Client, handle_file
from starlette.testclient import TestClient

from hub import telemetry, tracing
from hub.cli import serve
from hub.errors import InputError
from hub.hub import Hub
from hub.people.users import Caller
from hub.settings import Settings
from hub.web import server
from hub.web.traced import route_of
from tests.collector import Collector, collecting
from tests.fakes import Calls, counting_demo
from tests.served import PATIENT, ROOT, command, serving
from tests.web.doors import app_of

TRACE, ABOVE = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
PARENT = f"00-{TRACE}-{ABOVE}-01"
PARTS = ("decode", "prepare", "queue", "load", "infer", "present")
PHOTO = ROOT / "demos" / "assets" / "vehicle_classifier" / "ambulance.jpg"


@pytest.mark.parametrize(
    "values",
    [
        [], [""], ["00"], [PARENT, PARENT], [PARENT.upper()], [f"{PARENT}-more"], [f"ff{PARENT[2:]}"],
        [f"00-{'0' * 32}-{ABOVE}-01"], [f"00-{TRACE}-{'0' * 16}-01"], [f"cc{PARENT[2:]}-{'x' * 100}"],
        [PARENT.replace("-", "_")], ["x" * 100_000], [f"{PARENT}\n"[:54]], [f"0٠{PARENT[2:]}"],
    ],
)  # fmt: skip
def test_a_header_that_is_none_counts_for_nothing(values: list[str]) -> None:
    assert tracing.read_header(values) is None


def test_a_header_is_read_and_a_later_version_s_may_say_more() -> None:
    assert tracing.read_header([PARENT]) == tracing.Trace(TRACE, ABOVE, sampled=True)
    assert tracing.read_header([f"cc{PARENT[2:-2]}02-more"]) == tracing.Trace(TRACE, ABOVE, sampled=False)
    below = tracing.new_trace(tracing.Trace(TRACE, ABOVE, sampled=True))
    assert below.header.startswith(f"00-{TRACE}-") and below.header.endswith("-01") and ABOVE not in below.header
    assert len({tracing.new_trace().trace_id for _ in range(100)}) == 100


@pytest.mark.parametrize(
    ("path", "parameters", "route"),
    [
        ("/api/v1/demos/cars", {"slug": "cars"}, "/api/v1/demos/{slug}"),
        ("/r/abc/mask/1", {"id": "abc", "output": "mask", "number": 1}, "/r/{id}/{output}/{number}"),
        ("/gradio_api/file=/tmp/x.png", {"path_or_url": "/tmp/x.png"}, "/gradio_api/file={path_or_url}"),
        ("/r/", {"id": ""}, "/r/"),
    ],
)  # fmt: skip
def test_a_route_has_names_for_what_may_be_a_key(path: str, parameters: dict[str, Any], route: str) -> None:
    assert route_of(path, parameters) == route


def test_off_nothing_of_opentelemetry_s_sdk_is_imported() -> None:
    script = (
        "import sys; from hub.hub import Hub; from hub.settings import Settings; from hub.web import server; "
        "hub = Hub(Settings(demos='palm_keypoints', data=sys.argv[1])); assert not hub.tracer.is_on; hub.close(); "
        "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, "/nonexistent/data"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_a_missing_package_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    done = command(serve.main, "--port", "0", "--otlp", "http://127.0.0.1:4318", "--data", str(tmp_path))
    assert done.returncode == 2 and "requirements-otel.txt" in done.stderr and "Traceback" not in done.stderr
    # One machine's variables may be for other programs.
    assert not telemetry.open_tracer(Settings(), {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}).is_on


@pytest.mark.parametrize("url", ["127.0.0.1:4318", "http://ann:secret@host:4318", "ftp://host", "http://host?x=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    done = command(serve.main, "--port", "0", "--otlp", url)
    assert done.returncode == 2 and "--otlp must be an address such as" in done.stderr


def test_the_standard_variables_switch_it_on_and_off(monkeypatch: pytest.MonkeyPatch) -> None:
    place = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
    assert telemetry.endpoint_of("http://c:4318") == telemetry.endpoint_of("http://c:4318/v1/traces")
    for name, value in (
        ("OTEL_SDK_DISABLED", "true"),
        ("OTEL_TRACES_EXPORTER", "none"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ):
        assert not telemetry.open_tracer(Settings(), {**place, name: value}).is_on
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", place["OTEL_EXPORTER_OTLP_ENDPOINT"])
    tracer = telemetry.open_tracer(Settings())
    assert tracer.is_on
    tracer.close()


@pytest.fixture
def traced(make_hub: Callable[..., Hub]) -> Any:
    with collecting() as collector:
        hub = make_hub({"otlp": collector.url}, doubler=counting_demo(Calls()))
        yield hub, collector


def rest(hub: Hub) -> TestClient:
    """The REST door with all layers around it."""
    app = app_of(hub)
    app.user_middleware[:] = server.layers(hub, [])
    return TestClient(app, base_url="http://127.0.0.1")


def flush(hub: Hub) -> None:
    assert isinstance(hub.tracer, telemetry.Exporting)
    hub.tracer.flush()


def test_a_request_goes_on_in_the_trace_that_it_names_and_its_answer_says_where(
    traced: tuple[Hub, Collector],
) -> None:
    hub, collector = traced
    client = rest(hub)
    answer = client.post("/api/v1/demos/doubler", json={"number": 3}, headers={"traceparent": PARENT})
    flush(hub)
    door = collector.wait_for("POST /api/v1/demos/{slug}")
    run = collector.wait_for("run doubler")
    assert (door.trace, door.above, run.trace, run.above) == (TRACE, ABOVE, TRACE, door.id)
    assert answer.headers["traceresponse"] == f"00-{TRACE}-{door.id}-01"
    parts = collector.below(run)
    assert set(parts) == set(PARTS)
    assert all(door.begin <= part.begin <= part.end <= door.end + 0.005 for part in parts.values())
    assert [*sorted(PARTS, key=lambda name: parts[name].begin)] == [*PARTS]
    assert door.values == {
        "http.request.method": "POST", "http.route": "/api/v1/demos/{slug}", "http.response.status_code": 200,
    }  # fmt: skip
    assert run.values["hub.page"] == "doubler" and run.values["hub.outcome"] == "computed"
    assert run.values["hub.run"] == answer.json()["id"][:12]
    assert collector.about["service.name"] == "demo-hub"


def test_nothing_is_told_of_keys_inputs_and_who_asks(traced: tuple[Hub, Collector]) -> None:
    hub, collector = traced
    client, secret = rest(hub), "hub_abcdefgh_" + "s" * 32
    id = client.post("/api/v1/demos/doubler", json={"number": 3, "seed": 1}).json()["id"]
    headers = {"traceparent": PARENT, "Authorization": f"Bearer {secret}", "User-Agent": "somebody"}
    client.get(f"/api/v1/results/{id}?token={secret}", headers=headers)
    client.post(f"/api/v1/results/{id}/links", json={}, headers=headers)
    client.get(f"/nowhere/{secret}", headers=headers)
    flush(hub)
    collector.wait_for("GET /api/v1/results/{id}")
    collector.wait_for("POST /api/v1/results/{id}/links")
    told = json.dumps([[span.name, span.values] for span in collector.spans])
    assert id not in told and secret not in told and "somebody" not in told and "nowhere" not in told


def test_a_stored_answer_a_wrong_input_and_a_fault_are_told_apart(traced: tuple[Hub, Collector]) -> None:
    hub, collector = traced
    hub.engine.run("doubler", {"number": 3, "seed": 1})
    hub.engine.run("doubler", {"number": 3, "seed": 1})
    with pytest.raises(InputError):
        hub.engine.run("doubler", {"number": "many"})
    flush(hub)
    runs = [span for span in collector.spans if span.name == "run doubler"]
    assert [run.values.get("hub.outcome", run.values.get("error.type")) for run in runs] == [
        "computed", "hit", "invalid_input",
    ]  # fmt: skip
    assert len({run.trace for run in runs}) == 3 and not any(run.failed for run in runs)


def test_who_is_not_sampled_is_not_told_of_and_pages_are_no_spans(traced: tuple[Hub, Collector]) -> None:
    hub, collector = traced
    client = rest(hub)
    client.get("/api/v1/demos")
    hub.engine.run("doubler", {"number": 4}, caller=Caller(trace=tracing.Trace(TRACE, ABOVE, sampled=False)))
    answer = client.get("/healthz", headers={"traceparent": f"{PARENT[:-2]}00"})
    flush(hub)
    assert answer.headers["traceresponse"].endswith("-00") and collector.spans == []
    assert "traceresponse" not in client.get("/healthz", headers={"traceparent": "x"}).headers


def test_a_collector_that_is_gone_or_refuses_costs_a_run_nothing(
    make_hub: Callable[..., Hub], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "64")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "10")
    hub = make_hub({"otlp": "http://127.0.0.1:9"}, doubler=counting_demo(Calls()))  # nobody listens there
    hub.engine.run("doubler", {"number": 0})
    begin = time.perf_counter()
    for number in range(1, 151):
        hub.engine.run("doubler", {"number": number % 10})
    assert time.perf_counter() - begin < 5
    begin = time.perf_counter()
    hub.tracer.close()
    assert time.perf_counter() - begin < telemetry.CLOSE_S + 1
    assert len([record for record in caplog.records if record.name.startswith("opentelemetry")]) <= 4


@pytest.mark.release
def test_one_trace_reaches_into_the_model_process_from_rest_and_from_gradio(tmp_path: Path) -> None:
    flags = ("--demos", "vehicle_classifier", "--log-format", "json", "--log-level", "debug", "--device", "cpu")
    with collecting() as collector, serving(tmp_path, *flags, "--otlp", collector.url) as served:
        with httpx.Client(base_url=served.url, timeout=120) as client:
            files = {"image": PHOTO.read_bytes()}
            asked = client.post("/api/v1/demos/vehicle_classifier", files=files, headers={"traceparent": PARENT})
            id = asked.raise_for_status().json()["id"]
        run = collector.wait_for("run vehicle_classifier", TRACE)
        parts = collector.below(run)
        assert set(parts) == {"place", *PARTS}
        assert all(run.begin - 0.05 <= part.begin and part.end <= run.end + 0.05 for part in parts.values())
        assert run.above == collector.wait_for("POST /api/v1/demos/{slug}", TRACE).id

        other = f"00-{TRACE[::-1]}-{ABOVE}-01"
        with closing(Client(served.url, verbose=False, httpx_kwargs=PATIENT, headers={"traceparent": other})) as gradio:
            gradio.predict(handle_file(PHOTO), api_name="/vehicle_classifier")
        over_gradio = collector.wait_for("run vehicle_classifier", TRACE[::-1])
        assert over_gradio.values["hub.outcome"] == "hit"
        above = next(span for span in collector.spans if span.id == over_gradio.above)
        assert above.name.startswith("POST /gradio_api/")

        with httpx.Client(base_url=served.url, timeout=120) as client:
            assert client.get("/").status_code == 200
        lines = [json.loads(line) for line in served.lines if line.startswith("{")]
    (told,) = [line for line in lines if line.get("run") == id[:12] and "computed in" in line["event"]]
    assert told["trace"] == TRACE and told["level"] == "DEBUG" and told["logger"] == "hub.engine.engine"
    assert {line["process"] for line in lines} != {told["process"]}, "the model process logs so too"
