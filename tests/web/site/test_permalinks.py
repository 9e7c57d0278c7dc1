"""Shared results over HTTP: the page, its preview, who may end it, what people say; REST; and deep links."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from hub.archive import links as links_module
from hub.archive.corrections import bounds
from hub.archive.links import LinkStore
from hub.hub import Hub
from hub.pages.registry import ROOT, Page, Registry
from hub.results.result import Picture
from hub.settings import Settings
from hub.web.gradio_ui import deep_links
from hub.web.middleware import sessions
from hub.web.parts.filled import Filled, read
from hub.web.site import links as permalinks
from tests.fakes import colour_demo, registry_of, shade_demo
from tests.web.doors import SHADES, app_of, become, png

pytestmark = pytest.mark.slow

MINE, THEIRS = {sessions.COOKIE: "m" * 32}, {sessions.COOKIE: "t" * 32}
NASTY = '"><script>alert(1)</script>'


def app_for(hub: Hub) -> FastAPI:
    app = app_of(hub)
    app.add_middleware(sessions.SessionCookie, hub=hub)
    return app


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., tuple[Hub, TestClient]]]:
    """An engine and a client of its doors, all over one data folder: making another is a restart."""
    engines: list[Hub] = []

    def start(registry: Registry | None = None, root_path: str = "", **settings: Any) -> tuple[Hub, TestClient]:
        (tmp_path / "grey.png").write_bytes(png(colour="grey"))
        pages = {"shades": SHADES, "colours": colour_demo()}
        chosen = Settings(device="cpu", dtype="float32", data=str(tmp_path / "data"), **settings)
        found = {slug: Page(slug, "a test", tmp_path, declared=demo) for slug, demo in pages.items()}
        engines.append(Hub(chosen, registry or Registry(found)))
        client = TestClient(app_for(engines[-1]), base_url="http://hub.example", root_path=root_path)
        return engines[-1], client

    yield start
    for hub in engines:
        hub.close()


@pytest.fixture
def client(make: Callable[..., tuple[Hub, TestClient]]) -> TestClient:
    return make()[1]


def run(client: TestClient, **fields: str) -> str:
    answer = client.post("/api/v1/demos/shades", files={"image": png()}, data={"seed": "7", **fields})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def share(client: TestClient, cookies: dict[str, str] | None = None, **body: Any) -> dict[str, Any]:
    become(client, cookies)
    answer = client.post(f"/api/v1/results/{run(client)}/links", json=body)
    assert answer.status_code == 201, answer.text
    become(client, None)
    return dict(answer.json())


def tag(text: str, name: str) -> str:
    found = re.search(rf'<meta (?:property|name)="{name}" content="([^"]*)">', text)
    assert found, name
    return unescape(found[1])


# --- the page -------------------------------------------------------------------------------------


def test_the_page_shows_inputs_outputs_parameters_weights_and_receipt(client: TestClient) -> None:
    made = share(client, note="First line\nand <b>more</b>")
    page = client.get(f"/r/{made['id']}")
    assert page.status_code == 200
    for shown in ("Shades", "First line", "&lt;b&gt;more", "Threshold", "0.5", "2 pictures",
                  "copy 1", "Download the class ids", "cpu, float32", "Facts"):  # fmt: skip
        assert shown in page.text, shown
    sources = set(re.findall(r'(?:src|href)="([^"]*\.(?:png|jpg))"', page.text))
    assert len(sources) == 5, "the input, the picture, the mask and two copies"
    for source in sources:
        picture = client.get(f"/r/{source}")
        assert picture.status_code == 200
        with Image.open(io.BytesIO(picture.content)) as image:
            assert image.size == (24, 16)
        again = client.get(f"/r/{source}", headers={"If-None-Match": picture.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
    for file in ("page.css", "page.js"):
        assert client.get(f"/r/{file}").status_code == 200


def test_a_chat_finds_title_description_and_picture_at_absolute_addresses(
    make: Callable[..., tuple[Hub, TestClient]],
) -> None:
    for options, base in (
        ({}, "http://hub.example"),
        ({"root_path": "/under"}, "http://hub.example/under"),
        ({"public_url": "https://demos.example.org/hub/"}, "https://demos.example.org/hub"),
    ):
        _, client = make(**options)  # type: ignore[arg-type]
        made = share(client, note='Say "hello"\nlater')
        url = f"{base}/r/{made['id']}"
        assert made["url"] == url
        text = client.get(f"/r/{made['id']}").text
        assert tag(text, "og:title").startswith("Shades: dark 6")
        assert tag(text, "og:description") == tag(text, "twitter:description") == 'Say "hello"'
        assert tag(text, "og:url") == url
        assert tag(text, "og:image") == tag(text, "twitter:image") == f"{url}/preview.jpg"
        assert tag(text, "twitter:card") == "summary_large_image"
        with Image.open(io.BytesIO(client.get(f"/r/{made['id']}/preview.jpg").content)) as image:
            assert image.size == (1200, 630)


def test_a_viewer_needs_no_cookie_gets_none_and_search_engines_stay_out(client: TestClient) -> None:
    made = share(client)
    for path, status in ((f"/r/{made['id']}", 200), (f"/r/{made['id']}/preview.jpg", 200), ("/r/nothing", 404)):
        answer = client.get(path, headers={"Accept": "text/html"})
        assert answer.status_code == status
        assert "set-cookie" not in answer.headers
        assert answer.headers["x-robots-tag"] == "noindex"
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "script-src 'self'" in answer.headers["content-security-policy"]
        assert "<script>" not in answer.text


def test_everything_people_or_demos_write_is_escaped(make: Callable[..., tuple[Hub, TestClient]]) -> None:
    demo = replace(
        shade_demo(title=NASTY, summary=NASTY, task=NASTY, note=NASTY),
        present=lambda output, image, level: {
            "shade": {NASTY: 0.5},
            "mask": shade_demo().present(0.5, image, 0.5)["mask"],
        },
    )
    _, client = make(registry_of(nasty=demo))
    id = client.post("/api/v1/demos/nasty", files={"image": png()}).json()["id"]
    made = client.post(f"/api/v1/results/{id}/links", json={"note": NASTY}).json()
    text = client.get(f"/r/{made['id']}").text
    assert text.count("&lt;script&gt;alert(1)") > 8
    assert "<script>" not in text
    assert "<script>" not in client.get(f"/r/{NASTY}").text
    assert "<script>" not in client.get(f"/r/{made['id']}?thanks={NASTY}").text


def test_a_link_of_an_earlier_hub_shows_what_it_showed(make: Callable[..., tuple[Hub, TestClient]]) -> None:
    _, before = make()
    made = share(before)
    shown = before.get(f"/r/{made['id']}").text
    assert f"../shades?link={made['id']}" in shown
    # After the restart the page's declaration is another; after the next one it is gone.
    other = replace(SHADES, title="Renamed", outputs=SHADES.outputs[:1], inputs=SHADES.inputs[:1], version="2")
    _, after = make(registry_of(shades=other), results_days=0.0)
    assert after.get(f"/r/{made['id']}").text == shown
    assert after.get(f"/r/{made['id']}/in-image.png").status_code == 200
    _, without = make(registry_of(colours=colour_demo()))
    text = without.get(f"/r/{made['id']}").text
    assert "Threshold" in text
    assert "Try it yourself" not in text


def test_a_document_of_format_1_is_drawn(tmp_path: Path) -> None:
    """As the first release wrote it; when the format grows, this stays."""
    document = {
        "format": 1,
        "page": {"slug": "old", "title": "Old page", "summary": "It was.", "task": "Test", "note": ""},
        "headline": "cat 90 %",
        "inputs": [{"name": "image", "label": "Photo", "left_out": False, "file": "in-image.png"}],
        "parameters": [
            {"name": "level", "label": "Level", "left_out": False, "value": 0.25, "unit": "m"},
            {"name": "name", "label": "Name", "left_out": True},
        ],
        "outputs": [
            {"name": "l", "label": "Labels", "help": "h", "kind": "labels", "value": {"cat": 0.9}, "top": 1,
             "line": 0.5},
            {"name": "t", "label": "Table", "help": "", "kind": "table", "value": [{"class": "cat", "percent": 9.0}]},
            {"name": "j", "label": "Json", "help": "", "kind": "json", "value": {"a": [1]}},
            {"name": "p", "label": "Picture", "help": "", "kind": "pictures",
             "files": [{"file": "out-p-0.png", "caption": "c", "width": 2, "height": 1}]},
            {"name": "x", "label": "Later kind", "help": "", "kind": "hologram"},
        ],
        "weights": {"name": "w", "digest": "a" * 64, "title": None, "licence": "mit", "source": "bundled", "commit": "",
                    "metrics": [{"name": "Accuracy", "value": 0.9, "dataset": "d"}]},
        "receipt": {"total_ms": 12.5, "queue_ms": 0.0, "load_ms": 0.0, "prepare_ms": 1.0, "infer_ms": 9.0,
                    "present_ms": 1.0, "cold": False, "cached": False, "batch_size": 1, "device": "cpu",
                    "dtype": "float32", "weights": "w", "digest": "a" * 64,
                    "created_at": "2026-11-21T12:00:00.000+00:00"},
        "result": "0123456789ab",
        "again": {"parameters": {"level": 0.25}, "weights": "w", "version": "1"},
    }  # fmt: skip
    content = links_module.Content(document, {"in-image.png": Picture(png(), "image/png", 24, 16)})
    link, _ = LinkStore(tmp_path, 10**6).add(content, page="old", headline="cat 90 %")
    drawn = permalinks.draw(link, document, url="http://h/r/x", again_url="", mine=False, feedback=(), thanks=False)
    for text in ("Old page", "cat 90 %", "0.25 m", "left out", "1 of 1 at or above", "Accuracy", "mit", "21 Nov 2026",
                 f"{link.id}/out-p-0.png", "cannot draw"):  # fmt: skip
        assert text in drawn, text


def test_pages_of_links_need_neither_torch_nor_gradio() -> None:
    """So that they answer while the hub is still importing both."""
    script = (
        "import sys\nfrom hub.web.site import links\nfrom hub.web.parts.pieces import environment\n"
        "environment().get_template('permalink.html')\n"
        "print(*{name.split('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=100, check=True
    )
    assert "jinja2" in done.stdout
    assert not {"torch", "gradio"} & set(done.stdout.split())


def test_a_link_that_ended_or_never_was_is_told_kindly(client: TestClient) -> None:
    made = share(client)
    client.delete(f"/api/v1/links/{made['id']}", headers={"X-Link-Secret": made["secret"]})
    for path, status, words in (
        (f"/r/{made['id']}", 410, "taken back by who made it"),
        (f"/r/{made['id']}/in-image.png", 410, "taken back"),
        ("/r/" + "x" * 22, 404, "whole address was copied"),
        ("/r", 404, "whole address"),
        ("/r/a/b/c", 404, "whole address"),
        ("/r/../secret", 404, ""),
    ):
        answer = client.get(path)
        assert answer.status_code == status, path
        assert words in answer.text
    again = client.get(f"/r/{made['id']}/", follow_redirects=False)
    assert (again.status_code, again.headers["location"]) == (308, f"../{made['id']}")
    assert client.post(f"/r/{made['id']}").status_code == 405


# --- its owner, and those who look ----------------------------------------------------------------


def test_only_the_owner_sees_feedback_and_takes_the_link_back(client: TestClient) -> None:
    made = share(client, MINE)
    path = f"/r/{made['id']}"
    said = client.post(f"{path}/feedback", data={"thumb": "down", "text": "<i>dark</i>"}, follow_redirects=False)
    assert (said.status_code, said.headers["location"]) == (303, f"../{made['id']}?thanks=1#feedback")
    assert "Thank you" in client.get(f"{path}?thanks=1").text
    for cookies, owner in ((None, False), (THEIRS, False), (MINE, True)):
        become(client, cookies)
        text, body = client.get(path).text, client.get(f"/api/v1/links/{made['id']}").json()
        assert ("Take this link back" in text) == ("&lt;i&gt;dark" in text) == ("feedback" in body) == owner
        listed = [link["id"] for link in client.get("/api/v1/links").json()]
        assert listed == [made["id"]] * owner
        if not owner:
            assert client.post(f"{path}/revoke").status_code == 403
            assert client.delete(f"/api/v1/links/{made['id']}").status_code == 403
    assert client.post(f"{path}/revoke", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert client.get(path).status_code == 200
    assert client.post(f"{path}/revoke").status_code == 410, "it leads to the page, which has ended"


def test_a_wrong_form_is_told_as_a_page(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    made = share(client)
    path = f"/r/{made['id']}/feedback"
    assert client.post(path, data={"text": " "}).status_code == 422
    assert client.post(path, content=b"x" * 20_000).status_code == 413
    assert client.post(path, data={"thumb": "up"}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    monkeypatch.setattr(bounds, "A_MINUTE", 1)
    assert client.post(path, data={"thumb": "up"}).status_code == 200
    refused = client.post(path, data={"thumb": "up"})
    assert refused.status_code == 429
    assert "Wait a moment" in refused.text


# --- REST -----------------------------------------------------------------------------------------


def test_a_link_is_made_read_commented_and_ended_over_rest(client: TestClient) -> None:
    made = share(client, note="n", expires_in_days=7, leave_out=["image"])
    assert (made["state"], made["note"], made["demo"]) == ("live", "n", "shades")
    assert made["expires_at"][:10] > made["created_at"][:10]
    shown = client.get(f"/api/v1/links/{made['id']}").json()
    assert "secret" not in shown
    assert [(entry["left_out"], entry["file"]) for entry in shown["inputs"]] == [(True, "")]
    copies = next(entry for entry in shown["outputs"] if entry["name"] == "copies")
    assert client.get(copies["files"][1]["file"]).headers["content-type"] == "image/png"
    assert shown["receipt"]["device"] == "cpu"
    feedback = client.post(f"/api/v1/links/{made['id']}/feedback", json={"thumb": "up"})
    assert (feedback.status_code, feedback.json()["thumb"]) == (201, "up")
    secret = {"X-Link-Secret": made["secret"]}
    assert [f["thumb"] for f in client.get(f"/api/v1/links/{made['id']}", headers=secret).json()["feedback"]] == ["up"]
    assert client.delete(f"/api/v1/links/{made['id']}", headers=secret).status_code == 204
    gone = client.get(f"/api/v1/links/{made['id']}")
    assert (gone.status_code, gone.json()["code"]) == (410, "gone")
    assert gone.headers["content-type"] == "application/problem+json"


def test_what_rest_cannot_do_is_problem_json(client: TestClient) -> None:
    id = run(client)
    links = f"/api/v1/results/{id}/links"
    for body, status, field in (
        ({"note": 5}, 422, "note"),
        ({"note": "x" * 1001}, 422, "note"),
        ({"expires_in_days": 0}, 422, "expires_in_days"),
        ({"leave_out": "image"}, 422, "leave_out"),
        ({"leave_out": ["imag"]}, 422, "leave_out"),
        ({"notes": "x"}, 422, "notes"),
        ([], 422, None),
    ):
        answer = client.post(links, json=body)
        assert (answer.status_code, answer.json().get("field")) == (status, field), body
    assert client.post(links, content=b"{", headers={"Content-Type": "application/json"}).status_code == 400
    assert client.post(links, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(f"/api/v1/results/{'0' * 32}/links", json={}).status_code == 404
    assert client.get(links).status_code == 405
    assert client.get("/api/v1/links/x").status_code == 404


def test_after_a_restart_pictures_are_asked_for_again(make: Callable[..., tuple[Hub, TestClient]]) -> None:
    _, before = make()
    id = run(before)
    _, after = make()
    refused = after.post(f"/api/v1/results/{id}/links", json={})
    assert (refused.status_code, refused.json()["field"]) == (409, "image")
    assert after.post(f"/api/v1/results/{id}/links", json={"leave_out": ["image"]}).status_code == 201
    assert run(after) == id
    assert after.post(f"/api/v1/results/{id}/links", json={}).status_code == 201


def test_links_read_a_small_object_or_nothing_and_the_last_of_a_name_given_twice(client: TestClient) -> None:
    links, json = f"/api/v1/results/{run(client)}/links", {"Content-Type": "application/json"}
    assert client.post(links, content=b"", headers=json).status_code == 201
    assert client.post(links, content=b'{"note": "a", "note": "b"}', headers=json).json()["note"] == "b"
    for content, headers, status, detail in (
        (b" ", json, 400, "The body is not valid JSON: Expecting value: line 1 column 2 (char 1)."),
        (b"[]", json, 422, "The body must be a JSON object, got a list."),
        (b" " * 70_000, json, 413, "The request has more than the 64 KB that are read."),
        (b"{}", {"Content-Type": "Text/Plain; x=1"}, 415,
         "Send application/json, with note, expires_in_days, leave_out or {}; got text/plain."),
        (b"", {}, 415, "Send application/json, with note, expires_in_days, leave_out or {}; got none."),
    ):  # fmt: skip
        refused = client.post(links, content=content, headers=headers)
        assert (refused.status_code, refused.json()["detail"]) == (status, detail)


def test_links_can_be_switched_off(make: Callable[..., tuple[Hub, TestClient]]) -> None:
    _, client = make(links_disk_mb=0.0)
    answer = client.post(f"/api/v1/results/{run(client)}/links", json={"leave_out": ["image"]})
    assert answer.status_code == 503
    assert "switched off" in answer.json()["detail"]


def test_the_document_has_the_links_as_they_answer(client: TestClient) -> None:
    document = client.get("/api/v1/openapi.json").json()
    made = share(client)
    schemas = document["components"]["schemas"]
    assert set(made) == set(schemas["LinkMade"]["required"])
    assert set(client.get(f"/api/v1/links/{made['id']}").json()) == set(schemas["LinkShown"]["required"])
    assert re.fullmatch(schemas["Link"]["properties"]["id"]["pattern"], made["id"])
    paths = document["paths"]
    assert set(paths["/api/v1/links/{id}"]) == {"get", "delete"}
    assert "409" in paths["/api/v1/results/{id}/links"]["post"]["responses"]


# --- deep links -----------------------------------------------------------------------------------


def opened(hub: Hub, *query: tuple[str, str], folder: Path = Path("/nowhere")) -> Filled:
    return read(hub, hub.registry.get("shades"), query, folder)


def test_an_address_fills_the_page_and_says_what_it_could_not_use(
    make: Callable[..., tuple[Hub, TestClient]],
) -> None:
    hub, _ = make()
    filled = opened(
        hub,
        *(("threshold", "0.4"), ("count", "9"), ("view", "back"), ("treshold", "1"), ("image", "x"), ("seed", "7")),
        *(("seed", "8"), ("weights", "w"), ("utm_source", "chat"), ("__theme", "dark")),
    )
    assert filled.values == {"threshold": 0.4, "view": "back"}  # Gradio has a `view` too: the input wins
    assert filled.problems == [
        "No weights 'w'. There is: none.",
        "count must be between 1 and 4 pictures, got 9.",
        "No input 'treshold'. Did you mean 'threshold'?",
        "image is a file, which an address cannot hold: choose it, or name an example.",
        "seed is given 2 times; give it once.",
    ]
    text = deep_links.draw_notice(replace(filled, problems=[NASTY]))
    assert "&lt;script&gt;" in text
    assert "<script>" not in text


def test_an_address_names_an_example_which_its_own_values_change(
    make: Callable[..., tuple[Hub, TestClient]],
) -> None:
    hub, _ = make()
    page = hub.registry.get("shades")
    filled = opened(hub, ("count", "3"), ("example", "1"))
    assert filled.values == {"image": str(page.assets / "grey.png"), "threshold": 0.2, "count": 3, "view": "front"}
    assert opened(hub, ("example", "1"), ("threshold", "0.9")).values["threshold"] == 0.9
    for bad in ("0", "2", "-1", "x", "", "²"):
        assert opened(hub, ("example", bad)).problems == [f"example must be a whole number from 1 to 1, got {bad!r}."]
    assert deep_links.draw_notice(opened(hub)) == ""


def test_trying_a_shared_result_fills_in_all_that_it_kept(
    make: Callable[..., tuple[Hub, TestClient]], tmp_path: Path
) -> None:
    hub, client = make()
    id = run(client, threshold="0.35", view="back")
    made = client.post(f"/api/v1/results/{id}/links", json={}).json()
    filled = opened(hub, ("link", made["id"]), folder=tmp_path)
    values = {**filled.values, "image": Path(filled.values["image"])}
    assert hub.engine.run("shades", values).values == hub.results.get(id).values  # type: ignore[union-attr]
    assert not filled.problems
    private = client.post(f"/api/v1/results/{id}/links", json={"leave_out": ["image"]}).json()
    filled = opened(hub, ("link", private["id"]))
    assert "image" not in filled.values
    assert filled.values["threshold"] == 0.35
    assert "choose your own: Photo" in filled.notes[1]
    assert "no such link" in opened(hub, ("link", "x")).problems[0]
    wrong = read(hub, hub.registry.get("colours"), [("link", made["id"])], tmp_path)
    assert wrong.problems == ["That shared result is of another page: Shades."]


def test_a_shared_result_whose_values_the_page_no_longer_takes_says_so(
    make: Callable[..., tuple[Hub, TestClient]],
) -> None:
    _, client = make()
    made = share(client, leave_out=["image"])
    changed = replace(SHADES, version="2", inputs=tuple(f for f in SHADES.inputs if f.name != "count"))
    hub, _ = make(registry_of(shades=changed))
    filled = opened(hub, ("link", made["id"]))
    assert "the answer may differ" in filled.notes[-1]
    assert filled.problems == ["No input 'count'. There is: 'threshold', 'view', 'seed', 'example'."]
    assert filled.values["threshold"] == 0.5
