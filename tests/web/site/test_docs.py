"""The page `/docs`: its files come from this hub, as small as they can be sent."""

from __future__ import annotations

import re

import pytest
from starlette.testclient import TestClient


def test_the_page_loads_nothing_but_files_of_the_hub_within_its_policy(client: TestClient) -> None:
    page = client.get("/docs")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "connect-src 'self'" in policy
    assert "<script>" not in page.text
    files = re.findall(r'(?:src|href)="\./(docs/[^"]+)"', page.text)
    assert len(files) == 4
    for name in files:
        assert client.get(f"/{name}").status_code == 200, name


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_swagger_ui_is_kept_by_browsers_and_sent_as_they_can_read_it(client: TestClient, encoding: str) -> None:
    answer = client.get("/docs/swagger-ui-bundle.js", headers={"accept-encoding": encoding})
    assert "SwaggerUIBundle" in answer.text
    assert answer.headers.get("content-encoding", "identity") == encoding
    assert "immutable" in answer.headers["cache-control"]


def test_no_other_file_of_the_package_is_served(client: TestClient) -> None:
    for name in ("favicon-32x32.png", "main.py", "..%2fmain.py"):
        assert client.get(f"/docs/{name}").status_code == 404


def test_each_operation_stands_in_one_group_that_the_document_lists(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    listed = [tag["name"] for tag in document["tags"]]
    used = [operation["tags"] for path in document["paths"].values() for operation in path.values()]
    assert all(len(tags) == 1 and tags[0] in listed for tags in used)
    assert document["paths"]["/api/v1/demos/shades"]["post"]["tags"] == ["Shades"]
