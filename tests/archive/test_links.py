"""Links to results: what they keep and what not, how long, how many; and `python -m hub links`."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hub import texts
from hub.archive import link_limits
from hub.archive import links as links_module
from hub.archive.corrections.store import Correction, CorrectionStore
from hub.archive.links import Content, Link, LinkStore
from hub.cli.main import main
from hub.errors import BusyError, ConflictError, GoneError, HubError, InputError, NotFoundError, UnavailableError
from hub.hub import Hub
from hub.people.owners import Owner
from hub.people.terms import DAY_S
from hub.results.result import Picture
from hub.spec import ImageInput, Slider, Text
from hub.texts import joined, sentence
from tests.fakes import Calls, Clock, counting_demo, in_threads, picky_demo, picture, shade_demo

MakeEngine = Callable[..., Hub]
PHOTO = Picture(b"a picture's bytes", "image/png", 2, 1)
LISTS: dict[str, Any] = {"inputs": [], "parameters": [], "outputs": [], "page": {}, "receipt": {}}
CONTENT = Content({"format": 1, "headline": "light 90 %", **LISTS}, {"in-image.png": PHOTO})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> LinkStore:
    return LinkStore(tmp_path, 10**6, clock)


def somebody(name: str = "me", place: str = "here") -> Owner:
    """A browser with its cookie; without a name one of which only the address is known."""
    return Owner(name, place) if name else Owner(f"no session {place}", place, lasting=False, weak=True)


def add(store: LinkStore, owner: str = "me", place: str = "here", **options: Any) -> tuple[Link, str]:
    who = somebody(owner, place)
    return store.add(CONTENT, page="shade", headline="light 90 %", who=who, **options)


# --- the store ------------------------------------------------------------------------------------


def test_a_link_gets_another_end_and_one_of_who_has_no_cookie_always_has_one(store: LinkStore, clock: Clock) -> None:
    link, _ = add(store, days=1.0)
    store.set_end(link.id, 3.0, somebody())
    assert store.get(link.id).expires == clock() + 3 * DAY_S
    store.set_end(link.id, None, somebody())
    assert store.get(link.id).expires is None
    with pytest.raises(InputError):
        store.set_end(link.id, -1.0, somebody())
    weak, _ = add(store, owner="", days=1.0)
    store.set_end(weak.id, None, somebody(""))
    assert store.get(weak.id).expires is not None
    clock.now += 1000 * DAY_S
    with pytest.raises(GoneError):
        store.set_end(weak.id, 3.0, somebody(""))


def test_a_link_is_found_by_another_store_and_cannot_be_guessed(store: LinkStore, tmp_path: Path) -> None:
    made = [add(store, owner=str(n))[0] for n in range(20)]
    again = LinkStore(tmp_path, 10**6, store.clock)
    link, document = again.read(made[0].id)
    assert (link, document) == (made[0], CONTENT.document)
    assert again.file(link.id, "in-image.png") == PHOTO
    assert len({one.id for one in made}) == 20
    assert all(re.fullmatch("[A-Za-z0-9]{22}", one.id) for one in made)
    assert (tmp_path / "links.sqlite3").stat().st_mode & 0o077 == 0, "nobody else on the machine reads it"


def test_a_links_words_can_be_translated_when_it_is_opened(store: LinkStore, tmp_path: Path) -> None:
    headline = sentence("{first} and {number} more", first=joined(["car", "road"]), number=2)
    content = Content({**CONTENT.document, "headline": headline, "outputs": [{"files": [{"caption": headline}]}]}, {})
    made, _ = store.add(content, page="shade", headline=headline, who=somebody())
    link, document = LinkStore(tmp_path, 10**6, store.clock).read(made.id)
    caption = document["outputs"][0]["files"][0]["caption"]
    for text in (link.headline, document["headline"], caption):
        assert text == "car, road and 2 more"
        assert texts.own()[texts.CHINESE].say(text) == "car，road，另有 2 项"
    assert "sentences" not in document
    assert (document["headline"], link) == (headline, made)


def test_a_link_that_was_taken_back_is_deleted_from_the_disk(store: LinkStore, tmp_path: Path) -> None:
    link, _ = add(store)
    assert PHOTO.data in (tmp_path / "links.sqlite3").read_bytes()
    store.revoke(link.id)
    for look in (store.get, store.read, lambda id: store.file(id, "in-image.png"), store.revoke):
        with pytest.raises(GoneError, match="taken back"):
            look(link.id)
    assert PHOTO.data not in (tmp_path / "links.sqlite3").read_bytes()


def test_a_link_ends_on_its_day(store: LinkStore, clock: Clock, tmp_path: Path) -> None:
    for_ever, _ = add(store)
    for_a_week, _ = add(store, days=7)
    clock.now += 7 * DAY_S - 1
    assert store.get(for_a_week.id).state(clock.now) == "live"
    clock.now += 1
    with pytest.raises(GoneError, match="a time that is over"):
        store.read(for_a_week.id)
    assert store.get(for_ever.id).id == for_ever.id
    add(store)  # making one tidies up
    assert [link.size_bytes for link in store.all() if link.id == for_a_week.id] == [0]
    clock.now += 366 * DAY_S
    add(store)
    with pytest.raises(NotFoundError, match="no such link"):
        store.get(for_a_week.id)


def test_only_the_session_that_made_it_or_the_secret_owns_a_link(store: LinkStore) -> None:
    link, secret = add(store, owner="me")
    nobodys, _ = add(store, owner="")
    assert store.owns(link.id, owners=["other", "me"])
    assert store.owns(link.id, secret=secret)
    wrongs: list[dict[str, Any]] = [{"owners": ["you"]}, {"owners": [""]}, {"owners": []}, {"secret": ""}]
    for wrong in (*wrongs, {"secret": secret[:-1]}, {"secret": "ü"}):
        assert not store.owns(link.id, **wrong), wrong
    assert not store.owns(nobodys.id, owners=somebody("").ids)
    assert secret.encode() not in store.path.read_bytes()


def test_links_are_bounded_in_bytes_in_number_and_in_pace(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = LinkStore(tmp_path, int(2.5 * CONTENT.size_bytes), clock)
    monkeypatch.setattr(link_limits, "BYTES_SHARE", 1)
    first, _ = add(small)
    add(small)
    with pytest.raises(BusyError, match="--links-disk-mb"):
        add(small, owner="you", place="there")
    small.revoke(first.id)
    add(small)
    monkeypatch.setattr(link_limits, "LINKS_OF_ONE", 2)
    store = LinkStore(tmp_path / "other", 10**6, clock)
    add(store), add(store), add(store, owner="another")
    with pytest.raises(BusyError, match="You have 2 links"):
        add(store)
    monkeypatch.setattr(link_limits, "LINKS_MOST", 3)
    with pytest.raises(BusyError, match="This hub has 3 links"):
        add(store, owner="third")
    monkeypatch.setattr(link_limits, "LINKS_A_MINUTE", 2)
    with pytest.raises(BusyError, match="You made 2 links in the last minute"):
        add(store)
    with pytest.raises(UnavailableError, match="switched off"):
        add(LinkStore(tmp_path / "off", 0, clock))


def test_no_caller_stops_the_others_from_sharing(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    store = LinkStore(tmp_path, 16 * CONTENT.size_bytes, clock)
    for name in ("", "made up"):  # without a cookie, then with one
        for _ in range(30):
            clock.now += 61 if store.all() and len(store.all()) % 29 == 0 else 0
            with suppress(BusyError):
                add(store, owner=name and f"{name} {len(store.all())}", place="stranger")
    live = [link for link in store.all() if link.state(clock.now) == "live"]
    assert len(live) <= 12, "one address has at most three quarters of the room, whatever cookies it makes up"
    add(store, owner="me", place="here")
    add(store, owner="", place="there")
    monkeypatch.setattr(link_limits, "LINKS_A_MINUTE", 1)
    with pytest.raises(BusyError, match="You made 1 links"):
        add(store, owner="", place="there")
    add(store, owner="", place="elsewhere")


def test_links_of_nobody_end_and_make_room_the_oldest_first(
    store: LinkStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, _ = add(store)
    nobodys = []
    for number in range(3):
        clock.now += 1
        nobodys.append(add(store, owner="", place=f"place {number}", days=None if number else 3650)[0])
    assert mine.expires is None
    assert [link.expires for link in nobodys] == [link.created + 30 * DAY_S for link in nobodys], "bounded, and told"
    monkeypatch.setattr(link_limits, "LINKS_MOST", 4)
    add(store, owner="you")
    assert [link.state(clock.now) for link in (mine, *(store_link(store, one.id) for one in nobodys))] == [
        "live", "revoked", "live", "live",
    ]  # fmt: skip
    clock.now += 31 * DAY_S
    with pytest.raises(GoneError, match="a time that is over"):
        store.get(nobodys[-1].id)
    assert store.get(mine.id).id == mine.id


def store_link(store: LinkStore, id: str) -> Link:
    return next(link for link in store.all() if link.id == id)


def test_links_of_an_older_hub_open_as_they_were(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written with the tables of version 1."""
    with sqlite3.connect(tmp_path / "links.sqlite3") as db:
        db.executescript(links_module.TABLES)
        for id, owner in (("a" * 22, "me"), ("b" * 22, "")):
            row = (id, owner, "", "shade", "light", "", clock.now, None, None, json.dumps(dict(CONTENT.document)), 10)
            db.execute(f"INSERT INTO link VALUES ({','.join('?' * 11)})", row)
        db.execute("INSERT INTO feedback (link, created, thumb, text) VALUES (?, 1, 'up', 'good')", ("a" * 22,))
        db.execute("PRAGMA user_version = 1")
    db.close()
    store = LinkStore(tmp_path, 10**6, clock)
    assert [said.text for said in store.feedback()] == ["good"]
    assert store.read("b" * 22)[1] == CONTENT.document and store.get("b" * 22).expires is None
    monkeypatch.setattr(link_limits, "LINKS_MOST", 2)
    add(store)
    assert store.get("a" * 22).owner == "me"
    with pytest.raises(GoneError):  # nobody's: it made room
        store.get("b" * 22)


def test_bounds_hold_when_many_share_at_once(store: LinkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_limits, "LINKS_OF_ONE", 5)
    made = in_threads([lambda: add(store)] * 8)
    assert sum(isinstance(one, BusyError) for one in made) == 3
    assert len(store.all()) == 5


def test_a_file_that_cannot_be_used_is_named(store: LinkStore, tmp_path: Path) -> None:
    link, _ = add(store)
    with sqlite3.connect(store.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(UnavailableError, match="newer hub"):
        store.get(link.id)
    store.path.write_bytes(b"no database" * 1000)
    with pytest.raises(NotFoundError):
        store.get(link.id)
    assert len(list(tmp_path.glob("links.sqlite3.damaged-*"))) == 1, "set aside, and begun anew"
    assert store.get(add(store)[0].id)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnavailableError):
        add(LinkStore(tmp_path / "file", 10**6, store.clock))


def test_looking_for_links_writes_nothing(tmp_path: Path) -> None:
    store = LinkStore(tmp_path / "data", 10**6)
    assert store.all() == []
    with pytest.raises(NotFoundError):
        store.get("x")
    assert not (tmp_path / "data").exists()


# --- what a link keeps ----------------------------------------------------------------------------


def photo_with_place() -> bytes:
    """A JPEG, to be turned, that says where it was taken and with what."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "CAMERA-MAKER"
    exif.get_ifd(0x8825)[1], exif.get_ifd(0x8825)[29] = "N", "GPS-DATE"
    file = io.BytesIO()
    picture(64, 48).save(file, "JPEG", exif=exif, comment=b"A-COMMENT")
    assert b"GPS-DATE" in file.getvalue()
    return file.getvalue()


def test_a_shared_picture_keeps_nothing_of_its_file(make_hub: MakeEngine, tmp_path: Path) -> None:
    hub = make_hub(shade=shade_demo())
    result = hub.engine.run("shade", {"image": photo_with_place()})
    link, _ = hub.sharing.share(result.id)
    _, document = hub.sharing.links.read(link.id)
    kept = hub.sharing.links.file(link.id, document["inputs"][0]["file"])
    assert (kept.width, kept.height) == (48, 64), "upright, as the model saw it"
    held = (tmp_path / "data" / "links.sqlite3").read_bytes()
    for secret in (b"Exif", b"CAMERA-MAKER", b"GPS-DATE", b"A-COMMENT"):
        assert secret not in held
    again = hub.engine.run("shade", {"image": kept.data})
    assert again.values == result.values, "a small picture is kept exactly"


def test_what_is_left_out_is_nowhere(make_hub: MakeEngine, tmp_path: Path) -> None:
    inputs = (ImageInput("image", "Photo"), Text("name", "Name"), Slider("level", "Level", 0.0, 1.0, 0.5, 0.1))
    demo = shade_demo(
        inputs=inputs,
        prepare=lambda image, name, level: shade_demo().prepare(image, level),
        present=lambda output, image, name, level: shade_demo().present(output, image, level),
        outputs=shade_demo().outputs,
    )
    hub = make_hub(shade=demo)
    result = hub.engine.run("shade", {"image": picture(), "name": "Private Person", "level": 0.3})
    link, _ = hub.sharing.share(result.id, leave_out=["image", "name"])
    _, document = hub.sharing.links.read(link.id)
    assert document["inputs"] == [{"name": "image", "label": "Photo", "left_out": True, "file": ""}]
    text, held = json.dumps(document), (tmp_path / "data" / "links.sqlite3").read_bytes()
    assert document["again"]["parameters"] == {"level": 0.3}
    for private in ("Private Person", result.capsule["inputs"]["image"], result.id):
        assert private not in text
        assert private.encode() not in held
    with pytest.raises(NotFoundError):
        hub.sharing.links.file(link.id, "in-image.png")
    with pytest.raises(InputError, match="Did you mean 'image'"):
        hub.sharing.share(result.id, leave_out=["imag"])


def test_a_link_outlives_the_result_and_shows_what_it_showed(make_hub: MakeEngine) -> None:
    before = make_hub(picky=picky_demo())
    result = before.engine.run("picky", {"image": picture(), "paints": ["red"]})
    link, _ = before.sharing.share(result.id, note="look")
    shown = before.sharing.links.read(link.id)[1]
    after = make_hub(picky=counting_demo(Calls()), settings={"results_days": 0.0})
    assert after.results.get(result.id) is None
    assert after.sharing.links.read(link.id)[1] == shown
    assert shown["page"]["title"] == "Picky"
    assert {entry["name"]: entry["kind"] for entry in shown["outputs"]} == {
        "painted": "pictures",
        "shares": "labels",
        "facts": "json",
    }
    assert [entry["value"] for entry in shown["outputs"] if entry["name"] == "facts"] == [{"paints": ["red"]}]
    with pytest.raises(NotFoundError, match="Run it again"):
        after.sharing.share(result.id)


def test_pictures_are_held_within_a_bound_and_what_is_not_held_is_asked_for(make_hub: MakeEngine) -> None:
    photos = [picture(300, 200, seed=n) for n in range(8)]
    files = [io.BytesIO() for _ in photos]
    for image, file in zip(photos, files, strict=True):
        image.save(file, "PNG")
    mb = 4 * 3.5 * len(files[0].getvalue()) / 2**20  # room for three of them
    hub = make_hub(shade=shade_demo(), settings={"results_memory_mb": mb})
    ids = [hub.engine.run("shade", {"image": file.getvalue()}).id for file in files]
    hub.sharing.share(ids[-1])
    with pytest.raises(ConflictError, match="no longer held") as refused:
        hub.sharing.share(ids[0])
    assert refused.value.field == "image"
    with pytest.raises(ConflictError):
        hub.sharing.share(ids[0], given={"image": files[1].getvalue()})
    hub.sharing.share(ids[0], given={"image": files[0].getvalue()})
    hub.sharing.share(ids[1], leave_out=["image"])
    hub.engine.run("shade", {"image": files[1].getvalue()})  # a hit brings its picture back
    hub.sharing.share(ids[1])


def test_camera_frames_and_background_work_leave_no_pictures(make_hub: MakeEngine) -> None:
    hub = make_hub(shade=shade_demo())
    live = hub.engine.run("shade", {"image": picture()}, kind="live")
    with pytest.raises(NotFoundError):
        hub.sharing.share(live.id)
    background = hub.engine.run("shade", {"image": picture(seed=1)}, kind="background")
    with pytest.raises(ConflictError):
        hub.sharing.share(background.id)


def test_headlines_say_the_answer(make_hub: MakeEngine) -> None:
    hub = make_hub(shade=shade_demo(), picky=picky_demo(), doubler=counting_demo(Calls()))
    said = {}
    for slug, given in {
        "shade": {"image": Image.new("RGB", (32, 32), "white")},
        "picky": {"image": Image.new("RGB", (32, 32), (255, 128, 0))},
        "doubler": {"number": 2, "seed": 1},
    }.items():
        said[slug] = hub.sharing.share(hub.engine.run(slug, given).id)[0].headline
    assert said == {"shade": "light 100\N{NO-BREAK SPACE}%", "picky": "red, green", "doubler": ""}


def test_a_preview_is_a_jpeg_of_the_size_chats_ask_for(make_hub: MakeEngine) -> None:
    hub = make_hub(shade=shade_demo(title="A very long title " * 9), doubler=counting_demo(Calls()))
    for slug, given in {"shade": {"image": picture(900, 40)}, "doubler": {"number": 1, "seed": 1}}.items():
        link, _ = hub.sharing.share(hub.engine.run(slug, given).id)
        with Image.open(io.BytesIO(hub.sharing.links.file(link.id, "preview.jpg").data)) as image:
            assert (image.format, image.size) == ("JPEG", (1200, 630))


# --- the command line -----------------------------------------------------------------------------


def command(data: Path, *words: str) -> int:
    return main(["links", *words, "--data", str(data)])


def test_links_are_listed_noted_and_ended_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path) == 0
    assert "There is no link" in capsys.readouterr().err
    store = LinkStore(tmp_path, 10**6)
    first, second = add(store)[0], add(store, note="second")[0]
    assert command(tmp_path, "note", first.id, "a better note") == 0
    assert command(tmp_path, "revoke", f"http://hub.example/r/{second.id}") == 0
    capsys.readouterr()
    assert command(tmp_path, "list", "--json", "--public-url", "https://demos.example/hub/") == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["url"] == f"https://demos.example/hub/r/{first.id}"
    assert (listed["note"], listed["state"]) == ("a better note", "live")
    assert main(["links", "--data", str(tmp_path), "list", "--all"]) == 0
    out = capsys.readouterr().out
    assert f"http://127.0.0.1:7860/r/{second.id}" in out
    assert "revoked" in out
    assert command(tmp_path, "revoke", "nothing") == 2
    assert "There is no such link" in capsys.readouterr().err


def test_feedback_is_exported_for_spreadsheets_and_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = LinkStore(tmp_path, 10**6)
    link, other = add(store, note="n")[0], add(store)[0]
    with sqlite3.connect(store.path) as db:  # as older hubs kept it
        text = '=cmd|"x"\nsecond line'
        db.execute("INSERT INTO feedback (link, created, thumb, text) VALUES (?, 1, 'up', ?)", (link.id, text))
    db.close()
    said = Correction("", f"link {other.id}", other.id, "shade", "", "", "", "", (), "wrong", {}, "", "", "", 0.0)
    CorrectionStore(tmp_path / "corrections.sqlite3", 10**6).keep(said, {}, somebody())
    assert command(tmp_path, "export") == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [row["thumb"] for row in rows] == ["up", "down"]
    assert rows[0]["text"] == '\'=cmd|"x"\nsecond line', "no formula"
    assert (rows[0]["link"], rows[0]["page"], rows[0]["note"]) == (link.id, "shade", "n")
    file = tmp_path / "said.jsonl"
    assert command(tmp_path, "export", link.id, "--out", str(file)) == 0
    (row,) = [json.loads(line) for line in file.read_text().splitlines()]
    assert row["text"].startswith("=cmd")
    assert command(tmp_path, "export", "nothing") == 2
    assert command(tmp_path, "export", "--out", str(tmp_path / "no" / "file.csv")) == 1


@pytest.mark.parametrize("days", [0, -1, 4000, float("nan"), "7", True])
def test_a_bad_end_is_refused(store: LinkStore, days: Any) -> None:
    with pytest.raises(InputError, match="expires_in_days must be a number above 0 and up to 3650"):
        add(store, days=days)


def test_a_bad_note_is_refused(store: LinkStore) -> None:
    for note in ("x" * 1001, "a\0b", "\ud800", 5):
        with pytest.raises(HubError, match="note"):
            add(store, note=note)
