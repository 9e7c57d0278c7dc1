"""Through the REST door: several options of one input, options of the weights, outputs that may be missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from hub.cli import call as cli_call
from hub.hub import Hub
from hub.settings import Settings
from hub.spec import Choice, Choices, Json, Slider, Weights
from tests.fakes import counting_demo, picky_demo, registry_of, write_weights
from tests.web.doors import app_of, png

RUN = "/api/v1/demos/picky"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("weights")
    write_weights(folder, "cars", {"label_names": ["saloon", "van"], "least": 0.3}, b"1")
    write_weights(folder, "trees", {"label_names": [{"name": "oak"}], "least": 0.7}, b"2")
    write_weights(folder, "bare", {}, b"3")
    data = str(tmp_path_factory.mktemp("data"))
    hub = Hub(
        Settings(data=data, device="cpu", dtype="float32", weights_folder=str(folder)),
        registry_of(
            picky=picky_demo(),
            labelled=labelled(("cars", "trees")),
            bare=labelled(("bare",)),
            limited=limited("cars", "trees"),
            unlimited=limited("bare"),
        ),
    )
    yield TestClient(app_of(hub))
    hub.close()


def labelled(weights: tuple[str, ...]) -> Any:
    from tests.fakes import Calls

    fields = (Choice("best", "Best", ("first",), "first", options_from="label_names"),
              Choices("labels", "Labels", options_from="label_names"))  # fmt: skip
    return replace(
        counting_demo(Calls()),
        inputs=fields,
        outputs=(Json("got", "Got"),),
        weights=tuple(Weights(name) for name in weights),
        prepare=lambda best, labels: [best, *labels],
        infer=lambda model, items: items,
        present=lambda output, best, labels: {"got": output},
    )


def limited(*weights: str) -> Any:
    return replace(
        labelled(weights),
        inputs=(Slider("least", "Least", 0.0, 1.0, 0.5, 0.01, default_from="least"),),
        prepare=lambda least: least,
        present=lambda output, least: {"got": least},
    )


def painted(client: TestClient, answer: Any) -> set[int]:
    """Which colours (0 red, 1 green, 2 blue) are in the picture that was answered."""
    import io

    assert answer.status_code == 200, answer.text
    data = client.get(answer.json()["outputs"]["painted"]).content
    with Image.open(io.BytesIO(data)) as image:
        return set(np.nonzero(np.asarray(image).max((0, 1)))[0].tolist())


def test_several_options_come_as_repeated_fields_text_with_commas_or_a_json_list(client: TestClient) -> None:
    import base64

    picture = png(colour="white")
    repeated = client.post(RUN, files={"image": picture}, data={"paints": ["blue", "green"]})
    assert painted(client, repeated) == {1, 2}
    same = [
        client.post(RUN, files={"image": picture}, data={"paints": "green,blue"}),
        client.post(RUN, json={"image": base64.b64encode(picture).decode(), "paints": ["green", "blue"]}),
    ]
    assert {answer.json()["id"] for answer in same} == {repeated.json()["id"]}
    assert painted(client, client.post(RUN, files={"image": picture})) == {0, 2}, "the default"


def test_an_optional_output_is_left_out_and_its_address_says_so(client: TestClient) -> None:
    answer = client.post(RUN, files={"image": png()}, data={"paints": "", "detail": "little"}).json()
    assert list(answer["outputs"]) == ["shares", "limit"]
    missing = client.get(f"/api/v1/results/{answer['id']}/painted")
    assert missing.status_code == 404
    assert "no output 'painted'" in missing.json()["detail"]


def test_an_option_that_is_none_is_refused_by_name(client: TestClient) -> None:
    answer = client.post(RUN, files={"image": png()}, data={"paints": ["blue", "gren"]})
    assert (answer.status_code, answer.json()["field"]) == (422, "paints")
    told = "paints: no option 'gren'. Did you mean 'green' or 'red'? There are: 'red', 'green', 'blue'."
    assert answer.json()["detail"] == told


def test_one_value_only_may_still_not_be_repeated(client: TestClient) -> None:
    answer = client.post(RUN, files={"image": png()}, data={"detail": ["much", "little"]})
    assert (answer.status_code, answer.json()["field"]) == (422, "detail")


def test_options_of_the_chosen_weights_are_taken_and_those_of_others_refused(client: TestClient) -> None:
    run = "/api/v1/demos/labelled"
    taken = client.post(run, json={"best": "van", "labels": ["van", "saloon"]}).json()
    assert taken["outputs"]["got"] == ["van", "saloon", "van"]
    assert client.post(run, json={"weights": "trees", "best": "oak"}).json()["outputs"]["got"] == ["oak"]
    refused = client.post(run, json={"weights": "trees", "best": "van"})
    assert refused.status_code == 422
    assert refused.json()["detail"] == "best: no option 'van'. There are: 'first', 'oak'."


def test_weights_without_the_options_say_what_to_mend(client: TestClient) -> None:
    answer = client.post("/api/v1/demos/bare", json={})
    assert answer.status_code == 500
    assert "config.json of the weights 'bare' must have a list 'label_names'" in answer.json()["detail"]


def test_a_number_that_is_left_out_is_the_weights_own_and_no_schema_names_one_for_all(client: TestClient) -> None:
    def got(**given: Any) -> Any:
        return client.post("/api/v1/demos/limited", json=given).json()["outputs"]["got"]

    assert (got(), got(weights="trees"), got(weights="trees", least=0)) == (0.3, 0.7, 0.0)
    answer = client.post("/api/v1/demos/unlimited", json={"least": 0.2})
    assert answer.status_code == 500
    assert "config.json of the weights 'bare' must have a number 'least' between 0 and 1" in answer.json()["detail"]
    declared = client.get("/api/v1/demos/limited").json()["inputs"]["properties"]["least"]
    assert "default" not in declared, "a client that fills in defaults would send it to all weights"
    assert declared["x-default-from"] == "least"
    assert cli_call._help(declared) == "Least. Between 0 and 1 (default: as suits the weights)"


def test_schemas_list_the_options_and_what_may_be_missing(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    body = document["paths"]["/api/v1/demos/labelled"]["post"]["requestBody"]["content"]
    for kind in ("application/json", "multipart/form-data"):
        properties = body[kind]["schema"]["properties"]
        fields = {name: one["anyOf"][0] if "anyOf" in one else one for name, one in properties.items()}  # or null
        assert fields["best"]["enum"] == ["first", "saloon", "van", "oak"]
        assert fields["labels"]["type"] == "array"
        assert fields["labels"]["items"] == {"type": "string", "enum": ["saloon", "van", "oak"]}
        assert fields["labels"]["default"] == []
    described = client.get("/api/v1/demos/picky").json()
    assert described["inputs"]["properties"]["paints"]["default"] == ["red", "blue"]
    answer = document["paths"]["/api/v1/demos/picky"]["post"]["responses"]["200"]["content"]["application/json"]
    assert answer["schema"]["properties"]["outputs"]["required"] == ["shares", "limit"]
    bare = document["paths"]["/api/v1/demos/bare"]["post"]["requestBody"]["content"]["application/json"]
    assert "enum" not in json.dumps(bare["schema"]["properties"]["best"]), "they are not known"
