"""The OpenAPI document is valid and typed by the declarations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.openapi.models import OpenAPI
from starlette.testclient import TestClient


@pytest.fixture(scope="module")
def document(client: TestClient) -> dict[str, Any]:
    return dict(client.get("/api/v1/openapi.json").json())


def test_it_is_openapi_3_1_and_every_reference_resolves(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPI.model_validate(document)
    for reference in _values(document, "$ref"):
        part: Any = document
        for key in reference.removeprefix("#/").split("/"):
            part = part[key]


def test_every_path_parameter_is_declared_and_ids_are_unique(document: dict[str, Any]) -> None:
    ids = list(_values(document["paths"], "operationId"))
    assert len(ids) == len(set(ids))
    for path, operations in document["paths"].items():
        named = {part[1:-1] for part in path.split("/") if part.startswith("{")}
        for operation in operations.values():
            declared = operation.get("parameters", [])
            assert {p["name"] for p in declared if p["in"] == "path"} == named, path


def test_each_working_demo_has_its_own_typed_operation(document: dict[str, Any]) -> None:
    run = document["paths"]["/api/v1/demos/shades"]["post"]
    content = run["requestBody"]["content"]
    form, json = content["multipart/form-data"]["schema"], content["application/json"]["schema"]
    assert form["properties"]["image"]["format"] == "binary"
    assert json["properties"]["image"]["contentEncoding"] == "base64"
    for schema in (form, json):
        # In JSON null says that an input is left out.
        fields = {name: one["anyOf"][0] if "anyOf" in one else one for name, one in schema["properties"].items()}
        assert schema["required"] == ["image"]
        assert not schema["additionalProperties"]
        assert (fields["threshold"]["type"], fields["count"]["type"]) == ("number", "integer")
        assert (fields["threshold"]["minimum"], fields["threshold"]["maximum"]) == (0.0, 1.0)
        assert fields["count"]["x-unit"] == "pictures"
        assert fields["view"]["enum"] == ["front", "back"]
        assert fields["view"]["default"] == "front"
        assert fields["seed"]["maximum"] == 2**32 - 1
    assert {"400", "404", "413", "415", "422", "429", "500", "503", "504"} <= run["responses"].keys()
    assert "Retry-After" in run["responses"]["429"]["headers"]
    assert set(document["paths"]["/api/v1/demos/broken"]) == {"get"}
    weights = document["paths"]["/api/v1/demos/absent"]["post"]["requestBody"]["content"]["application/json"]
    assert weights["schema"]["properties"]["weights"]["anyOf"][0]["enum"] == ["nowhere", "nothing"]
    slow = document["paths"]["/api/v1/demos/slow"]["post"]["requestBody"]
    assert not slow["required"]
    assert ["application/x-www-form-urlencoded" in body["content"] for body in (slow, run["requestBody"])] == [
        True,
        False,
    ]


def test_the_declared_answer_has_the_shape_of_a_real_one(client: TestClient, document: dict[str, Any]) -> None:
    schema = document["paths"]["/api/v1/demos/slow"]["post"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    answer = client.post("/api/v1/demos/slow").json()
    assert set(schema["required"]) == set(answer)
    assert set(schema["properties"]["outputs"]["required"]) == set(answer["outputs"])
    assert set(document["components"]["schemas"]["Receipt"]["required"]) == set(answer["receipt"])


def test_the_app_tells_the_same_document(client: TestClient, document: dict[str, Any]) -> None:
    assert client.app.openapi() == document  # type: ignore[attr-defined]


def _values(part: Any, key: str) -> Iterator[Any]:
    if isinstance(part, dict):
        for name, value in part.items():
            if name == key and isinstance(value, str):
                yield value
            else:
                yield from _values(value, key)
    elif isinstance(part, list):
        for value in part:
            yield from _values(value, key)
