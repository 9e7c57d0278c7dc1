"""What people say was right or wrong: checked against the page, kept once for each of them, bounded, and deleted."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from demos import age_regression, camvid_segmentation, palm_keypoints, satellite_labels
from hub.archive.corrections import bounds
from hub.archive.corrections.corrections import Said
from hub.archive.corrections.parts import Part, checked, parts_of, spoken
from hub.archive.corrections.store import FILE, Correction, CorrectionStore, Wanted
from hub.archive.links import Link
from hub.errors import BusyError, ConflictError, ForbiddenError, GoneError, InputError, NotFoundError, UnavailableError
from hub.hub import Hub
from hub.people.owners import Owner
from hub.people.users import Caller
from hub.results.result import Picture
from hub.spec import Demo, Json, TextOutput
from tests.fakes import HOSTILE, Clock, picture, shade_demo

MakeHub = Callable[..., Hub]
ME = Caller(session="cookie " + "m" * 32, address="192.0.2.1")
YOU = Caller(session="cookie " + "y" * 32, address="192.0.2.2")
NOBODY = Caller(address="192.0.2.3")
SHADE = Part("shade", "Shade", "class", "light", ("light", "dark"))
PHOTO = Picture(b"a picture's bytes", "image/png", 2, 1)


def png(seed: int = 0) -> bytes:
    file = io.BytesIO()
    picture(seed=seed).save(file, "PNG")
    return file.getvalue()


def run(hub: Hub, caller: Caller = ME, seed: int = 0) -> str:
    return hub.engine.run("shade", {"image": png(seed)}, caller=caller).id


# --- what can be said -----------------------------------------------------------------------------


def kinds(demo: Demo, **values: Any) -> dict[str, tuple[str, Any]]:
    return {part.name: (part.kind, part.answer) for part in parts_of(demo, values)}


def test_each_page_says_by_its_outputs_what_people_may_set_right() -> None:
    assert kinds(shade_demo(), shade={"light": 0.3, "dark": 0.7}) == {"shade": ("class", "dark")}
    shares = {"airplane": 0.2, "cars": 0.9, "court": 0.6}
    tags = [{"label": "cars", "percent": 90.0}, {"label": "court", "percent": 60.0}]
    found = kinds(satellite_labels.DEMO, tags=tags, threshold_used=0.5, probabilities=shares)
    assert found == {"probabilities": ("tags", ["cars", "court"])}
    faces = [{"face": 1, "age": 34.0, "low": 27.0, "high": 42.0, **dict.fromkeys(age_regression.BOX, 9.5)}]
    assert kinds(age_regression.DEMO, faces=faces) == {"faces": ("numbers", [34.0])}
    faces = [{"face": n, "age": 30.0 + n, age_regression.REMARK: "unsure" if n == 2 else ""} for n in (1, 2, 3)]
    (part,) = parts_of(age_regression.DEMO, {"faces": faces})
    assert (part.kind, part.rows) == ("numbers", ("1", "2", "3"))
    assert spoken(part, part.answer) == "31, 32, 33"
    assert spoken(part, [31.0, 40.0, None]) == "2: 40, 3: none"
    points = [{"colour": "#ffffff", "point": "thumb", "x_px": 3.0, "y_px": 4.0, "spread_px": 0.1}]
    assert kinds(palm_keypoints.DEMO, points=points, hand={"left": 0.9, "right": 0.1}) == {
        "hand": ("class", "left"), "points": ("points", {"thumb": [3.0, 4.0]}),
    }  # fmt: skip
    assert kinds(camvid_segmentation.DEMO, legend=[{"class": "sky", "percent": 4.0}]) == {"words": ("text", "")}
    assert kinds(replace(shade_demo(), outputs=(Json("n", "N"),)), n=4.5) == {"n": ("number", 4.5)}
    assert kinds(replace(shade_demo(), outputs=(TextOutput("said", "Said"),)), said="hi") == {"said": ("text", "hi")}
    assert parts_of(None, {"shade": {"light": 1.0}})[0].kind == "text", "of a page that is no longer here"


BOXES = Part("objects", "Objects", "boxes", [{"label": "car", "x0": 1.0, "y0": 1.0, "x1": 5.0, "y1": 5.0}],
             ("car",), size=(20, 10))  # fmt: skip
PARTS = (
    SHADE,
    Part("tags", "Tags", "tags", ["a"], ("a", "b", "c")),
    Part("n", "N", "number", 4.0),
    Part("ages", "Ages", "numbers", [34.0, 50.0], rows=("1", "2")),
    Part("points", "Points", "points", {"thumb": [3.0, 4.0], "ring": [1.0, 1.0]}, rows=("thumb", "ring")),
    BOXES,
    Part("said", "Said", "text", "hi"),
)


@pytest.mark.parametrize(
    ("given", "right"),
    [
        (None, {}),
        ({"shade": "dark"}, {"shade": "dark"}),
        ({"shade": "light", "tags": ["a"], "n": 4, "said": " hi "}, {}),
        ({"tags": ["c", "a", "c"]}, {"tags": ["a", "c"]}),
        ({"tags": []}, {"tags": []}),
        ({"n": 5, "ages": [None, 51]}, {"n": 5, "ages": [None, 51]}),
        ({"points": {"ring": None}}, {"points": {"thumb": [3.0, 4.0], "ring": None}}),
        (
            {"objects": [{"label": " bus\n", "x0": -3, "y0": 2, "x1": 50, "y1": 4}]},
            {"objects": [{"label": "bus", "x0": 0.0, "y0": 2.0, "x1": 20.0, "y1": 4.0}]},
        ),
        ({"said": "bye"}, {"said": "bye"}),
    ],
)
def test_a_correction_is_read_by_part_and_what_is_as_it_was_is_left_out(given: Any, right: dict[str, Any]) -> None:
    assert checked(PARTS, given) == right
    assert all(isinstance(spoken(part, right[part.name]), str) for part in PARTS if part.name in right)


@pytest.mark.parametrize(
    "given",
    [
        "dark", ["dark"], {"shad": "dark"}, {"shade": "grey"}, {"shade": ["dark"]}, {"shade": HOSTILE}, {"tags": "a"},
        {"tags": ["a", "d"]}, {"tags": ["a"] * 9}, {"n": "5"}, {"n": True}, {"n": float("nan")}, {"n": 1e13},
        {"ages": [1]}, {"ages": [1, "2"]}, {"points": [[1, 2]]}, {"points": {"palm": [1, 2]}},
        {"points": {"ring": [1, float("inf")]}}, {"points": {"ring": [1]}}, {"objects": {}}, {"objects": [{}]},
        {"objects": [{"label": "a", "x0": 5, "y0": 0, "x1": 1, "y1": 1}]},
        {"objects": [{"label": " ", "x0": 0, "y0": 0, "x1": 1, "y1": 1}]},
        {"objects": [{"label": "a", "x0": 0, "y0": 0, "x1": 1, "y1": 1}] * 201}, {"said": "x" * 2001}, {"said": "\0"},
    ],
)  # fmt: skip
def test_a_correction_that_the_page_could_not_have_answered_is_refused(given: Any) -> None:
    with pytest.raises(InputError) as refused:
        checked(PARTS, given)
    assert len(refused.value.message) < 400


# --- of a result ----------------------------------------------------------------------------------


def test_a_correction_is_kept_with_answer_weights_and_picture_and_the_second_word_replaces_the_first(
    make_hub: MakeHub, tmp_path: Path
) -> None:
    hub = make_hub(shade=shade_demo())
    id, who = run(hub), hub.owners.of(ME)
    assert not (tmp_path / "data" / FILE).exists(), "nobody said anything"
    hub.corrections.correct(id, Said("right"), who)
    said = hub.corrections.correct(id, Said("wrong", {"shade": "light"}, " it is\r\nnight ", keeps=True), who)
    (kept,), count = hub.corrections.store.search(Wanted(), 10)
    assert (kept, count) == (said, 1)
    assert (kept.page, kept.verdict, kept.note, kept.pictures) == ("shade", "wrong", "it is\nnight", ("image",))
    assert (kept.width, kept.height) == (64, 48) and kept.target == id and kept.owner == who.id
    (part,) = kept.parts
    assert (part.answer, kept.value, kept.truth(part)) == ("dark", {"shade": "light"}, "light")
    data = hub.corrections.store.picture(kept.id, "image").data
    assert Image.open(io.BytesIO(data)).tobytes() == picture().tobytes()
    assert (tmp_path / "data" / FILE).stat().st_mode & 0o077 == 0, "nobody else on the machine reads it"
    again = make_hub(shade=shade_demo())
    assert again.corrections.store.get(kept.id) == kept


def test_only_who_ran_a_result_corrects_it(make_hub: MakeHub) -> None:
    hub = make_hub(shade=shade_demo())
    mine, theirs = run(hub), run(hub, NOBODY, 1)
    for id, caller in ((mine, YOU), (mine, NOBODY), (theirs, ME)):
        with pytest.raises(ForbiddenError, match="You are not known to have run this"):
            hub.corrections.correct(id, Said("right"), hub.owners.of(caller))
    hub.corrections.correct(theirs, Said("right"), hub.owners.of(NOBODY))
    with pytest.raises(NotFoundError):
        hub.corrections.correct("0" * 32, Said("right"))
    for verdict in ("", "maybe", None, 5):
        with pytest.raises(InputError, match="verdict must be right or wrong"):
            hub.corrections.correct(mine, Said(verdict), hub.owners.of(ME))


def test_two_who_ran_the_same_each_say_their_own_and_neither_keeps_the_others_picture(make_hub: MakeHub) -> None:
    hub = make_hub(shade=shade_demo())
    assert run(hub) == run(hub, YOU)
    id = run(hub)
    for caller in (ME, YOU):
        hub.corrections.correct(id, Said("wrong"), hub.owners.of(caller))
    assert hub.corrections.store.search(Wanted(), 10)[1] == 2
    again = make_hub(shade=shade_demo(), settings={"results_disk_mb": 64.0})
    with pytest.raises(ConflictError, match="no longer held"):
        again.corrections.correct(id, Said("wrong", keeps=True), given={"image": png(1)})
    kept = again.corrections.correct(id, Said("wrong", keeps=True), hub.owners.of(ME))
    assert kept.pictures == ("image",), "the history has it after a restart"


def test_who_deletes_a_run_deletes_what_they_said_of_it_from_the_disk(make_hub: MakeHub, tmp_path: Path) -> None:
    hub = make_hub(shade=shade_demo())
    id = run(hub), run(hub, YOU)
    for caller in (ME, YOU):
        hub.corrections.correct(id[0], Said("wrong", None, f"of {caller.address}", True), hub.owners.of(caller))
    hub.forget(ME, None)
    (left,), _ = hub.corrections.store.search(Wanted(), 10)
    assert left.note == "of 192.0.2.2"
    assert b"of 192.0.2.1" not in b"".join(path.read_bytes() for path in (tmp_path / "data").glob(f"{FILE}*"))


def test_corrections_can_be_switched_off(make_hub: MakeHub) -> None:
    hub = make_hub(shade=shade_demo(), settings={"corrections_disk_mb": 0.0})
    with pytest.raises(UnavailableError, match="switched off"):
        hub.corrections.correct(run(hub), Said("right"), hub.owners.of(ME))


# --- of a shared result ---------------------------------------------------------------------------


def share(hub: Hub, **options: Any) -> Link:
    return hub.sharing.share(run(hub), who=hub.owners.of(ME), **options)[0]


def test_a_shared_result_is_corrected_by_all_and_its_picture_kept_by_who_shared_it_alone(make_hub: MakeHub) -> None:
    hub = make_hub(shade=shade_demo())
    link, you = share(hub), hub.owners.of(YOU)
    said = hub.corrections.correct_shared(link.id, Said("wrong", {"shade": "light"}, "n", keeps=True), you)
    assert (said.parts[0].answer, said.value, said.pictures) == ("dark", {"shade": "light"}, ())
    mine = hub.corrections.correct_shared(link.id, Said("right", keeps=True), hub.owners.of(ME), mine=True)
    assert mine.pictures == ("image",) and (mine.width, mine.height) == (64, 48)
    (found,) = hub.corrections.counted([hub.sharing.links.get(link.id)])
    assert (found.up, found.down, found.comments) == (1, 1, 1)
    assert hub.corrections.store.picture(mine.id, "image").width == 64
    hub.sharing.links.revoke(link.id)
    with pytest.raises(GoneError):
        hub.corrections.say(link.id, "up", "late", you)
    assert [said.text for said in hub.corrections.feedback([link.id])] == ["n", ""]
    assert hub.corrections.store.get(mine.id).pictures == (), "what a link showed is deleted with it"
    assert hub.corrections.store.stats()["bytes"] < 5_000


def test_a_thumb_is_a_correction_too_and_counts_beside_those_of_older_hubs(make_hub: MakeHub) -> None:
    hub = make_hub(shade=shade_demo())
    link = share(hub)
    with sqlite3.connect(hub.sharing.links.path) as db:
        db.execute("INSERT INTO feedback (link, created, thumb, text) VALUES (?, 1, 'up', 'good')", (link.id,))
    db.close()
    for thumb, text in (("up", ""), ("down", " bad\r\nlight "), ("", "words")):
        hub.corrections.say(link.id, thumb, text)
    said = hub.corrections.feedback([link.id])
    assert [(one.thumb, one.text) for one in said] == [
        ("up", "good"),
        ("up", ""),
        ("down", "bad\nlight"),
        ("", "words"),
    ]
    (found,) = hub.corrections.counted([hub.sharing.links.get(link.id)])
    assert (found.up, found.down, found.comments) == (2, 1, 3)
    for thumb, text, field in (("sideways", "", "thumb"), ("", " ", "thumb"), ("up", "x" * 1001, "text")):
        with pytest.raises(InputError) as refused:
            hub.corrections.say(link.id, thumb, text)
        assert refused.value.field == field


# --- the store ------------------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> CorrectionStore:
    return CorrectionStore(tmp_path / FILE, 10**6, clock)


def somebody(name: str = "me", place: str = "here") -> Owner:
    return Owner(name, place) if name else Owner(f"no session {place}", place, lasting=False, weak=True)


BLANK = Correction("", "r", "", "shade", "w", "d", "1", "dark", (SHADE,), "right", {}, "", "", "", 0.0)


def keep(store: CorrectionStore, who: Owner, target: str = "", size: int = 0, **more: Any) -> Correction:
    link = target.removeprefix("link ") if target.startswith("link ") else ""
    said = replace(BLANK, target=target or f"{store.stats()['corrections']} {store.clock()}", link=link, **more)
    return store.keep(said, {"image": replace(PHOTO, data=b"x" * size)} if size else {}, who)


def test_one_person_and_one_address_have_a_share_of_bytes_and_of_a_minute(
    store: CorrectionStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(store, somebody(), size=200_000)
    with pytest.raises(BusyError, match=r"You have 1 corrections here, 0\.2 MB"):
        keep(store, somebody(), size=60_000)
    for number in range(2):
        keep(store, somebody(f"made up {number}"), size=240_000)
    with pytest.raises(BusyError, match="All browsers at your address"):
        keep(store, somebody("made up 3"), size=100_000)
    monkeypatch.setattr(bounds, "A_MINUTE", 4)
    for _ in range(4):
        keep(store, somebody("you", "there"))
    with pytest.raises(BusyError, match="last minute"):
        keep(store, somebody("you", "there"))
    clock.now += 61
    keep(store, somebody("you", "there"))
    monkeypatch.setattr(bounds, "OF_ONE", 5)
    with pytest.raises(BusyError, match="You have 5"):
        keep(store, somebody("you", "there"))


def test_who_makes_up_browsers_pushes_out_their_own_words_and_never_a_users(
    store: CorrectionStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "MOST", 12)
    users, friend = [keep(store, Owner(f"user {n}")) for n in range(3)], keep(store, somebody("friend", "there"))
    for number in range(40):
        clock.now += 10
        keep(store, somebody(f"made up {number}", "stranger"))
    left = {one.id for one in store.all(Wanted())}
    assert len(left) == 12 and {friend.id, *(user.id for user in users)} <= left
    monkeypatch.setattr(bounds, "MOST", 3)
    store.remove([id for id in left if id not in {user.id for user in users}])
    with pytest.raises(BusyError, match="as many corrections as it keeps"):
        keep(store, Owner("another user"))


def test_no_stranger_stops_what_is_said_of_a_link(
    store: CorrectionStore, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "OF_LINK", 20)
    keep(store, somebody("friend", "there"), "link a", note="a friend's")
    for number in range(60):
        clock.now += 10
        keep(store, somebody(f"made up {number}", "stranger"), "link a", note=str(number))
    keep(store, somebody("second", "elsewhere"), "link a", note="another friend's")
    said = [one.note for one in store.of_links(["a"])]
    assert len(said) == 20 and said[-1] == "another friend's" and "a friend's" in said and "0" not in said


def test_who_looks_at_a_link_without_a_cookie_replaces_nobodys_words(store: CorrectionStore) -> None:
    for _ in range(2):
        keep(store, somebody(""), "link a")
        keep(store, somebody("me"), "link a")
        keep(store, somebody(""), "result")
    assert store.thumbs(["a"]) == {"a": (3, 0, 0)} and store.stats()["corrections"] == 4


def test_others_corrections_are_neither_read_nor_deleted(store: CorrectionStore) -> None:
    mine, theirs = keep(store, somebody("me"), size=10), keep(store, somebody("you"), size=10)
    assert [one.id for one in store.search(Wanted(("me", "older")), 10)[0]] == [mine.id]
    assert store.search(Wanted(()), 10) == ([], 0), "nobody can be told again"
    with pytest.raises(NotFoundError):
        store.get(theirs.id, ("me",))
    assert store.remove([mine.id, theirs.id], ("me",)) == 1
    assert store.picture(theirs.id, "image").data == b"x" * 10
    with pytest.raises(NotFoundError):
        store.picture(mine.id, "image")


def test_the_share_of_right_answers_is_by_weights_and_the_last_word_on_an_answer_counts(
    store: CorrectionStore, clock: Clock
) -> None:
    for owner, target, verdict, digest in (
        ("a", "1", "right", "d1"), ("a", "2", "wrong", "d1"), ("b", "2", "right", "d1"), ("a", "3", "wrong", "d2"),
        ("a", "link x", "", "d2"),
    ):  # fmt: skip
        clock.now += 1
        keep(store, somebody(owner), target, verdict=verdict, digest=digest)
    counts = [(one.page, one.weights, one.digest, one.right, one.wrong) for one in store.counts()]
    assert counts == [("shade", "w", "d1", 2, 0), ("shade", "w", "d2", 0, 1)]


def test_a_damaged_file_is_set_aside_and_a_damaged_row_costs_no_other(tmp_path: Path, store: CorrectionStore) -> None:
    good, bad = keep(store, somebody()), keep(store, somebody())
    with store.database.change(BLANK.id) as db:  # type: ignore[arg-type]
        db.execute("UPDATE correction SET parts = '[{}' WHERE id = ?", (bad.id,))
    assert {one.id: len(one.parts) for one in store.all(Wanted())} == {good.id: 1, bad.id: 0}
    store.close()
    (tmp_path / FILE).write_bytes(b"no database" * 1000)
    again = CorrectionStore(tmp_path / FILE, 10**6)
    assert again.stats() == {"corrections": 0, "bytes": 0}
    assert list(tmp_path.glob(f"{FILE}.damaged-*"))
    assert json.dumps(again.pages()) == "[]"
