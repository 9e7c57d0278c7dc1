"""A data folder that the hub wrote before its code was in wings (commit 8b9b6b3) opens, and all that it kept is there.

It was made over REST with small copies of the examples: three runs and one that failed, three links (one with the photo
left out, one revoked), two pieces of feedback, a user and a token; `SESSION` is the cookie that it was made with.
"""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from hub.hub import Hub
from hub.settings import Settings
from hub.web import server
from tests.served import run_async

FOLDER = Path(__file__).parent / "cases" / "data_of_before_the_wings.tar.xz"
SESSION = {"hub_session": "m" * 40}
CAR, OTHER = "21bb69f1ffb8c5fefd462297f52b4948", "8b2315fa3d1da7f76dff0f0a9a7de27f"
LIVE, WITHOUT, REVOKED = "3ZSn2HWUsrMgDYBAUkuc2X", "hqj0Nz37Zo1aQ2R9oAazge", "K9tHjvdMWur35icf8ojBXG"
SECRET = {"X-Link-Secret": "IErl1CUYayC1q4HFEv5y_-hi-j7nc_OFrbbqfSFW8X0"}
TOKEN = "hub_Bsz2qw7s_hrDheW9SWUsvFXAS3ABCcCeIPHPPOTen"
PROBABILITIES = {"emergency": 0.779145, "ordinary": 0.220855}
PAGES = {"demos": "vehicle_classifier,stable_diffusion"}
HOST = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("older")
    with tarfile.open(FOLDER) as archive:
        archive.extractall(folder, filter="data")
    return folder


def opened(folder: Path, **settings: Any) -> tuple[Hub, Any]:
    """A hub of today over that folder; results are kept long enough for this test to be run in years."""
    hub = Hub(Settings(data=str(folder), device="cpu", offline=True, results_days=36_500.0, **{**PAGES, **settings}))

    async def build() -> Any:  # Gradio takes the event loop that runs, and leaves one of its own open
        return server.build_app(hub)

    return hub, run_async(build())


@pytest.fixture(scope="module")
def app(older: Path) -> Iterator[Any]:
    hub, app = opened(older)
    yield app
    hub.close()


@pytest.fixture
def mine(app: Any) -> TestClient:
    """The browser that made it all."""
    return TestClient(app, base_url=HOST, cookies=SESSION)


@pytest.fixture
def stranger(app: Any) -> TestClient:
    return TestClient(app, base_url=HOST)


def test_history_lists_the_runs_with_what_went_in_and_came_out(mine: TestClient, stranger: TestClient) -> None:
    runs = mine.get("/api/v1/history").json()["runs"]
    assert [(run["demo"], run["state"]) for run in runs] == [
        ("vehicle_classifier", "failed"),
        ("stable_diffusion", "done"),
        ("vehicle_classifier", "done"),
        ("vehicle_classifier", "done"),
    ]
    assert [run["result"] for run in runs[2:]] == [f"/api/v1/results/{id}" for id in (OTHER, CAR)]
    assert runs[0]["message"].startswith("image looks like text")
    for run in runs[2:]:
        assert mine.get(run["inputs"]["image"]).headers["content-type"] == "image/jpeg"
    assert all(mine.get(run["thumbnail"]).status_code == 200 for run in runs[1:])
    assert stranger.get("/api/v1/history").json()["runs"] == []


def test_results_and_what_is_similar_to_them_are_there(mine: TestClient) -> None:
    assert mine.get(f"/api/v1/results/{CAR}").json()["outputs"] == {"probabilities": PROBABILITIES}
    similar = mine.get(f"/api/v1/results/{CAR}/similar").json()["similar"]
    assert OTHER in [one["id"] for one in similar if one["kind"] == "result"]
    assert mine.get(f"/api/v1/results/{OTHER}/thumbnail").headers["content-type"].startswith("image/")


def test_the_gallery_shows_its_picture_to_who_made_it(mine: TestClient, stranger: TestClient) -> None:
    (picture,) = mine.get("/api/v1/gallery?q=red circle").json()["pictures"]
    assert (picture["prompt"], picture["seed"]) == ("a red circle on a white background", 7)
    assert mine.get(picture["image"]).headers["content-type"] == "image/png"
    assert stranger.get("/api/v1/gallery").json()["total"] == 0


def test_links_open_for_all_and_tell_their_owner_the_feedback(mine: TestClient, stranger: TestClient) -> None:
    page = stranger.get(f"/r/{LIVE}")
    assert page.status_code == 200 and "emergency 78" in page.text and f"{LIVE}/in-image.png" in page.text
    assert stranger.get(f"/r/{LIVE}/in-image.png").headers["content-type"] == "image/png"
    shown = stranger.get(f"/api/v1/links/{LIVE}").json()
    assert (shown["thumbs_up"], shown["thumbs_down"], shown["note"]) == (1, 1, "for Ann") and "feedback" not in shown
    for answer in (stranger.get(f"/api/v1/links/{LIVE}", headers=SECRET), mine.get(f"/api/v1/links/{LIVE}")):
        assert [one["text"] for one in answer.json()["feedback"]] == ["", "It is a lorry."]
    assert stranger.get(f"/r/{REVOKED}").status_code == 410
    assert {link["id"]: link["state"] for link in mine.get("/api/v1/links").json()}.items() >= {
        (LIVE, "live"),
        (REVOKED, "revoked"),
    }
    assert [one["expires_at"][:4] for one in mine.get("/api/v1/links").json() if one["id"] == WITHOUT] == ["2036"]
    assert stranger.get(f"/r/{WITHOUT}/in-image.png").status_code in (404, 410), "the photo was left out"


def test_users_sign_in_and_tokens_open_doors(older: Path) -> None:
    hub, app = opened(older, auth=str(older / "users.txt"))
    client = TestClient(app, base_url=HOST)
    asked: dict[str, dict[str, Any]] = {"no": {}, "token": {"headers": {"authorization": f"Bearer {TOKEN}"}}}
    users: dict[str, dict[str, Any]] = {
        name: {"auth": ("ann", password)} for name, password in (("ann", "a password"), ("wrong", "another"))
    }
    answers = {name: client.get("/api/v1/demos", **how).status_code for name, how in {**asked, **users}.items()}
    hub.close()
    assert answers == {"no": 401, "token": 200, "ann": 200, "wrong": 401}
