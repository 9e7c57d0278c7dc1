"""REST answers: runs, results, what there is, operations. The refusals are in test_rest_refusals.py."""

from __future__ import annotations

import base64
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.hub import Hub
from tests.web.doors import app_of, png

RUN = "/api/v1/demos/shades"


def test_a_form_with_a_file_is_answered_with_id_outputs_seed_and_receipt(client: TestClient) -> None:
    answer = client.post(RUN, files={"image": png()}, data={"threshold": "0.3", "count": "3", "seed": "7"})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    id = body["id"]
    assert list(body) == ["id", "demo", "headline", "outputs", "captions", "seed", "receipt"]
    assert body["captions"] == {"picture": "as it came"}
    assert list(body["outputs"]) == ["picture", "mask", "shares", "facts", "copies"]
    assert body["outputs"]["picture"] == f"/api/v1/results/{id}/picture"
    assert body["outputs"]["facts"] == [{"view": "front", "seed": 7, "percent": 50.0}]
    assert body["outputs"]["copies"][2] == {"url": f"/api/v1/results/{id}/copies/2", "caption": "copy 2"}
    assert body["outputs"]["shares"].keys() == {"light", "dark"}
    assert body["seed"] == 7
    assert {"total_ms", "infer_ms", "cold", "batch_size", "device"} <= body["receipt"].keys()


def test_json_base64_and_data_urls_answer_as_a_form_does(client: TestClient) -> None:
    picture = png(colour="olive")
    plain = base64.b64encode(picture).decode()
    broken_lines = "\n".join(plain[i : i + 20] for i in range(0, len(plain), 20))
    form = client.post(RUN, files={"image": ("a.png", picture)}, data={"seed": "1"}).json()
    for text in (plain, broken_lines, f"data:image/png;base64,{plain}"):
        answer = client.post(RUN, json={"image": text, "seed": 1}).json()
        assert answer["id"] == form["id"]
        assert answer["outputs"] == form["outputs"]
        assert answer["receipt"]["cached"]


def test_a_plain_form_answers_as_json_does(client: TestClient) -> None:
    slow = "/api/v1/demos/slow"
    kind = {"Content-Type": "application/x-www-form-urlencoded"}  # what `curl -d prompt=...` sends
    said = client.post(slow, content=b"prompt=a+red+circle%2C%20%C3%A9t%C3%A9&seconds=0", headers=kind)
    assert said.status_code == 200, said.text
    assert said.json()["outputs"] == {"said": "a red circle, été"}
    wrong = client.post(slow, content=b"prompt=a&seconds=61", headers=kind)
    assert (wrong.status_code, wrong.json()) == (422, client.post(slow, json={"prompt": "a", "seconds": 61}).json())
    twice = client.post(slow, content=b"prompt=a&prompt=b", headers=kind)
    assert (twice.status_code, "more than once" in twice.json()["detail"]) == (422, True)
    many = client.post(slow, content=b"&".join(b"prompt=a" for _ in range(65)), headers=kind)
    assert (many.status_code, "more than 64 parts" in many.json()["detail"]) == (400, True)
    broken = client.post(slow, content=b"prompt=%FF", headers=kind)
    assert (broken.status_code, "UTF-8" in broken.json()["detail"]) == (400, True)
    name = client.post(RUN, content=b"image=cat.png", headers=kind)
    assert (name.status_code, name.json()) == (415, client.post(RUN, files={"image": b"cat.png"}).json())


def test_rest_and_the_engine_give_the_same_result(client: TestClient, hub: Hub) -> None:
    picture = png(colour="gold")
    body = client.post(RUN, files={"image": picture}, data={"seed": "3"}).json()
    result = hub.engine.run("shades", {"image": picture, "seed": 3})
    assert body["id"] == result.id
    assert body["outputs"]["shares"] == result.values["shares"]
    assert client.get(body["outputs"]["mask"]).content == result.pictures["mask"][0].data


def test_a_demo_whose_inputs_all_have_defaults_needs_no_body(client: TestClient) -> None:
    assert client.post("/api/v1/demos/slow").json()["outputs"] == {"said": "hello"}


def test_a_drawn_seed_is_told_and_repeats_the_result(client: TestClient) -> None:
    first = client.post(RUN, files={"image": png()}).json()
    again = client.post(RUN, files={"image": png()}, data={"seed": first["seed"]}).json()
    assert again["id"] == first["id"]


def test_output_pictures_are_exact_files_with_a_lasting_etag(client: TestClient) -> None:
    outputs = client.post(RUN, files={"image": png()}, data={"seed": "1"}).json()["outputs"]
    mask = client.get(outputs["mask"])
    assert mask.headers["content-type"] == "image/png"
    assert set(np.unique(np.asarray(Image.open(io.BytesIO(mask.content))))) <= {0, 1}
    assert mask.headers["cache-control"] == "private, max-age=31536000, immutable"
    assert mask.headers["x-content-type-options"] == "nosniff"
    for given in (mask.headers["etag"], f'"other", W/{mask.headers["etag"]}', "*"):
        unchanged = client.get(outputs["mask"], headers={"If-None-Match": given})
        assert (unchanged.status_code, unchanged.content) == (304, b"")
        assert unchanged.headers["etag"] == mask.headers["etag"]
    assert client.get(outputs["mask"], headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(outputs["picture"]).headers["content-type"] == "image/jpeg"
    assert client.get(outputs["picture"]).headers["etag"] != mask.headers["etag"]
    assert client.get(outputs["copies"][1]["url"]).headers["content-type"] == "image/png"
    head = client.head(outputs["mask"])
    assert head.headers["content-length"] == str(len(mask.content))


def test_a_result_is_told_again_by_its_id(client: TestClient) -> None:
    body = client.post(RUN, files={"image": png(colour="pink")}, data={"seed": "1"}).json()
    again = client.get(f"/api/v1/results/{body['id']}").json()
    assert again == body
    assert client.get(f"/api/v1/results/{body['id']}/facts").json() == body["outputs"]["facts"]


def test_urls_begin_with_the_path_a_proxy_mounts_the_hub_at(hub: Hub) -> None:
    client = TestClient(app_of(hub), root_path="/hub")
    body = client.post(RUN, files={"image": png()}, data={"seed": "1"}).json()
    assert body["outputs"]["picture"] == f"/hub/api/v1/results/{body['id']}/picture"
    assert client.get("/api/v1/openapi.json").json()["servers"] == [{"url": "/hub"}]


def test_concurrent_requests_each_get_their_own_answer(client: TestClient) -> None:
    pictures = [png(colour=(n, n, n)) for n in range(0, 240, 10)]

    def light(picture: bytes) -> float:
        answer = client.post(RUN, files={"image": picture}, data={"seed": "1"})
        return float(answer.json()["outputs"]["shares"]["light"])

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(light, pictures))
    assert found == pytest.approx([n / 255 for n in range(0, 240, 10)], abs=1e-5)


def test_the_list_tells_every_page_with_its_state(client: TestClient) -> None:
    demos = {entry["slug"]: entry for entry in client.get("/api/v1/demos").json()}
    assert list(demos) == ["shades", "slow", "faulty", "absent", "broken"]
    assert demos["shades"]["url"] == RUN
    assert demos["shades"]["cover"] == f"{RUN}/assets/grey.png"
    assert demos["slow"]["cover"] is None
    assert demos["shades"]["state"]["code"] in ("ready", "on_demand")
    assert demos["absent"]["state"]["code"] == "unavailable"
    assert "nowhere" in demos["absent"]["state"]["reason"]
    assert demos["broken"]["state"] == {
        "code": "broken", "text": "Not working", "reason": "broken.py cannot be imported"
    }  # fmt: skip


def test_a_demo_is_described_with_schema_outputs_examples_and_weights(client: TestClient) -> None:
    found = client.get(RUN).json()
    assert found["inputs"]["required"] == ["image"]
    assert found["inputs"]["properties"]["count"] == {
        "title": "Copies", "type": "integer", "minimum": 1, "maximum": 4, "default": 2, "x-step": 1,
        "x-unit": "pictures", "description": "In pictures.",
    }  # fmt: skip
    assert [output["type"] for output in found["outputs"]] == ["image", "mask", "labels", "json", "gallery"]
    example = found["examples"][0]
    assert example["inputs"] == {"threshold": 0.2}
    assert client.get(example["files"]["image"]).content == png(colour="grey")
    weights = client.get("/api/v1/demos/absent").json()["weights"]
    assert [w["name"] for w in weights] == ["nowhere", "nothing"]
    assert "does not exist" in weights[0]["reason"]
    assert client.get("/api/v1/demos/broken").json()["state"]["code"] == "broken"


def test_only_declared_pictures_of_the_assets_folder_are_served(client: TestClient) -> None:
    for name in ("private.txt", "%2e%2e", "%2e%2e%2fconftest.py", "missing.png"):
        assert client.get(f"{RUN}/assets/{name}").status_code == 404


def test_status_tells_device_models_results_and_queue(client: TestClient, hub: Hub) -> None:
    client.post("/api/v1/demos/slow")
    found = client.get("/api/v1/status").json()
    assert (found["device"], found["dtype"]) == ("cpu", "float32")
    assert found["pool"]["budget_bytes"] == hub.pool.budget_bytes
    slow = next(model for model in found["pool"]["models"] if model["key"] == "slow")
    assert slow["state"] == "ready"
    assert slow["leases"] == 0
    assert found["queue"] == {"in_work": 0, "limit": 64}
    assert found["results"]["memory_results"] > 0


def test_health_readiness_and_metrics(client: TestClient) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert set(ready.json()["demos"]) == {"absent", "broken"}
    client.post("/api/v1/demos/slow")
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    assert 'hub_requests_total{demo="slow"' in metrics.text


def test_a_hub_where_no_demo_works_is_not_ready(make_hub) -> None:  # type: ignore[no-untyped-def]
    answer = TestClient(app_of(make_hub(only=("absent", "broken")))).get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["No demo can answer."]
    assert "broken.py" in answer.json()["demos"]["broken"]
