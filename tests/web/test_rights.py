"""Who may see and run which page: the file of rules, and every door of a hub that has one."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from gradio_client import Client, handle_file
from starlette.responses import PlainTextResponse
from streamlit.testing.v1 import AppTest

from hub.cli.main import main
from hub.engine.compare import compare
from hub.errors import InputError, NotFoundError, RightsError
from hub.hub import Hub
from hub.pages.registry import Page, Registry
from hub.pages.seen import Seen
from hub.people import asking, users
from hub.people.audit import Search
from hub.people.rights import Rights, parse
from hub.people.tokens import TokenStore
from hub.people.users import Caller, UsersFile
from hub.settings import ROOT
from hub.web import server
from hub.web.streamlit_ui import host as streamlit_host
from hub.web.streamlit_ui import mount as streamlit_mount
from tests.served import PATIENT, run_async, running
from tests.web.doors import SHADES, SLOW, png, variant

RULES = """
[groups]
team = ["ann", "token:ABCDEFGH"]

[[rules]]
pages = ["shades"]
view = ["@staff", "ben"]
run = ["@team", "role:admin"]

[[rules]]
pages = ["tag:hidden things"]
run = ["cleo"]
"""
ANN, BEN, CLEO = (Caller(name, "run") for name in ("ann", "ben", "cleo"))
BOSS, NOBODY = Caller("boss", "admin"), Caller()


@pytest.fixture
def seen(tmp_path: Path) -> Seen:
    return _seen(tmp_path, RULES)


def _seen(folder: Path, rules: str) -> Seen:
    (folder / "rights.toml").write_text(rules)
    secret = variant(SLOW, title="Secret", tags=("hidden things",))
    pages = {slug: Page(slug, "a test", folder, declared=demo)
             for slug, demo in {"shades": SHADES, "secret": secret, "slow": SLOW}.items()}  # fmt: skip
    pages["broken"] = Page("broken", "a test", folder, error="it cannot be imported")
    pages["shades_video"] = Page("shades_video", "a test", folder, declared=SHADES, over=pages["shades"])
    registry = Registry(pages)
    return Seen(registry, Rights(folder / "rights.toml", lambda: {n for page in registry for n in page.names}))


def test_the_first_rule_that_names_a_page_says_who_sees_and_who_runs_it(seen: Seen) -> None:
    everything = {"shades", "secret", "slow", "broken", "shades_video"}
    for who, sees, runs in (
        (ANN, {"shades", "slow", "shades_video"}, {"shades", "slow", "shades_video"}),
        (BEN, {"shades", "slow", "shades_video"}, {"slow"}),
        (CLEO, {"secret", "slow"}, {"secret", "slow"}),
        (Caller("eva", "run", groups=("staff",)), {"shades", "slow", "shades_video"}, {"slow"}),
        (
            Caller("eva", "run", groups=("team",)),
            {"shades", "slow", "shades_video"},
            {"shades", "slow", "shades_video"},
        ),
        (Caller("token ABCDEFGH", "run"), {"shades", "slow", "shades_video"}, {"shades", "slow", "shades_video"}),
        (NOBODY, {"slow"}, {"slow"}),
        (BOSS, everything, everything),
        (None, everything, everything),
    ):
        found = seen.by(who)
        assert set(found.pages) == sees, who
        assert {page.slug for page in found if seen.may_run(who, page)} == runs, who


def test_what_one_does_not_see_is_not_there_and_what_one_may_not_run_is_refused_in_words(seen: Seen) -> None:
    with pytest.raises(NotFoundError, match="No demo 'secret'") as refused:
        seen.to_run("secret", ANN)
    assert "'secret'" in str(refused.value) and "hidden" not in str(refused.value)
    with pytest.raises(RightsError, match="You may look at Shades, but not run it"):
        seen.to_run("shades", BEN)
    assert seen.to_run("shades", ANN).slug == seen.to_run("shades", None).slug == "shades"


def test_a_name_that_somebody_gives_themselves_is_no_group_and_no_role(seen: Seen) -> None:
    for name in ("@team", "role:admin", "*", "team", "admin"):
        assert set(seen.by(Caller(name, "run")).pages) == {"slow"}, name
    assert set(seen.by(Caller("", "admin")).pages) == {"slow"}  # nobody signed in


def test_a_change_of_the_file_counts_at_once_a_slip_does_not_and_a_file_that_is_gone_opens_nothing(
    seen: Seen, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "rights.toml"
    assert "secret" not in seen.by(ANN).pages
    file.write_text(RULES.replace('run = ["cleo"]', 'run = ["cleo", "ann"]'))
    assert "secret" in seen.by(ANN).pages
    file.write_text("[[rules]]\npages = ['shade']\nview = ['*']\n")
    assert "secret" in seen.by(ANN).pages
    assert "No demo 'shade'. Did you mean 'shades'" in caplog.text
    file.write_text("")
    assert "secret" in seen.by(ANN).pages and "shades" not in seen.by(CLEO).pages
    file.unlink()
    assert not seen.by(ANN).pages
    assert seen.by(BOSS).pages


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("rules = 3", "up to 500 tables"),
        ("[[rules]]\npages = ['shades']", "must have pages, and view or run"),
        ("[[rules]]\nview = ['*']\nrun = ['*']", "must have pages, and view or run"),
        ("[[rules]]\npages = ['shades']\nviews = ['*']", "must have pages, and view or run"),
        ("[[rules]]\npages = []\nview = ['*']", "names no page"),
        ("[[rules]]\npages = 'shades'\nview = ['*']", "must be a list of texts"),
        ("[[rules]]\npages = ['shades']\nview = ['role:boss']", "'role:boss' is none of"),
        ("[[rules]]\npages = ['Shades']\nview = ['*']", "'Shades' is none of"),
        ("[[rules]]\npages = ['shades']\nview = [3]", "must be a list of texts"),
        ("[groups]\nteam = 'ann'", "must be a list of texts"),
        ("[rule]\npages = []", "No section 'rule'"),
        ("", "has no [[rules]]"),
        ("x = [" * 3000, "is not TOML"),
        ("[[rules", "is not TOML"),
    ],
)
def test_a_file_that_is_wrong_says_where(text: str, why: str) -> None:
    with pytest.raises(InputError, match=re.escape(why)):
        parse(text, "rights.toml")


def test_a_name_that_no_page_has_is_refused_since_it_would_leave_a_page_open(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"No demo 'shade'\. Did you mean 'shades'"):
        _seen(tmp_path, "[[rules]]\npages = ['shade']\nview = ['ann']")
    with pytest.raises(InputError, match="No tag 'tag:hidden'"):
        _seen(tmp_path, "[[rules]]\npages = ['tag:hidden']\nview = ['ann']")


def test_a_hub_that_asks_nobody_can_keep_no_rules(make_hub: Callable[..., Hub], tmp_path: Path) -> None:
    (tmp_path / "rights.toml").write_text(RULES)
    with pytest.raises(InputError, match="has to know who asks: add --auth"):
        make_hub(only=("shades",), rights=str(tmp_path / "rights.toml"))


def test_many_callers_and_pages_stay_in_bounds(tmp_path: Path) -> None:
    seen = _seen(tmp_path, RULES)
    for number in range(3000):
        seen.by(Caller(f"user{number}", "run"))
    assert len(seen._found) <= 1024


# --- every door -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Doors:
    url: str
    hub: Hub
    tokens: dict[str, str]

    def ask(self, who: str, method: str, path: str, **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.tokens[who]}", **more.pop("headers", {})}
        return httpx.request(method, self.url + path, headers=headers, timeout=60, **more)


class Nothing:
    lifespan = staticmethod(lambda: lambda app: _Idle())

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse("Streamlit")(scope, receive, send)


class _Idle:
    async def __aenter__(self) -> None: ...
    async def __aexit__(self, *error: object) -> None: ...


@pytest.fixture(scope="module")
def doors(make_hub: Callable[..., Hub], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Doors]:
    """`shades` is for `runner` to run and for `looker` to look at; `stranger` sees `slow` alone."""
    patch = pytest.MonkeyPatch()
    patch.setattr(users, "LOG2_N", 4)
    patch.setattr(streamlit_mount, "_build", lambda hub: Nothing())
    data = tmp_path_factory.mktemp("data")
    UsersFile(data / "users.txt").put("boss", "admin", "correct horse")
    made = {
        name: TokenStore(data).add("admin" if name == "boss" else "run")
        for name in ("runner", "looker", "stranger", "boss")
    }
    runner, looker = (f"token:{made[name][0].id}" for name in ("runner", "looker"))
    rights = data / "rights.toml"
    rights.write_text(f"[[rules]]\npages = ['shades']\nview = ['{looker}']\nrun = ['{runner}']\n")
    hub = make_hub(only=("shades", "slow"), data=str(data), auth=str(data / "users.txt"), rights=str(rights))

    async def build() -> FastAPI:
        return server.build_app(hub)

    with running(run_async(build())) as url:
        yield Doors(url, hub, {name: text for name, (_, text) in made.items()})
    patch.undo()


LISTS = [
    ("/", {}),
    ("/api/v1/demos", {}),
    ("/api/v1/openapi.json", {}),
    ("/config", {}),
    ("/config?page=", {}),
    ("/gradio_api/info", {}),
    ("/gradio_api/info?all_endpoints=true", {}),
    ("/sitemap.xml", {}),
    ("/docs", {"accept": "text/html"}),
    ("/history", {"accept": "text/html"}),
    ("/gallery", {"accept": "text/html"}),
    ("/grid", {"accept": "text/html"}),
    ("/many", {"accept": "text/html"}),
    ("/corrections", {"accept": "text/html"}),
    ("/nowhere_at_all", {"accept": "text/html"}),
    ("/api/v1/demos/shade", {}),
]


@pytest.mark.parametrize(("path", "headers"), LISTS, ids=[path for path, _ in LISTS])
def test_a_page_that_one_does_not_see_is_in_no_list(doors: Doors, path: str, headers: dict[str, str]) -> None:
    for who in ("boss", "runner", "stranger", "looker", "stranger"):  # what was drawn for one is not shown to another
        for language in ("en", "zh-CN"):
            answer = doors.ask(who, "GET", path, headers={**headers, "accept-language": language})
            named = "shades" in answer.text.lower()
            assert named == (who != "stranger"), (who, language, answer.status_code, answer.text[:2000])


def test_its_own_addresses_are_not_there(doors: Doors) -> None:
    for method, path, more in (
        ("GET", "/shades", {"headers": {"accept": "text/html"}}),
        ("GET", "/api/v1/demos/shades", {}),
        ("GET", "/api/v1/demos/shades/assets/grey.png", {}),
        ("GET", "/pictures/shades/preview.jpg", {}),
        ("GET", "/pictures/shades/cover/grey.png", {}),
        ("GET", "/many/shades", {"headers": {"accept": "text/html"}}),
        ("POST", "/api/v1/demos/shades", {"files": {"image": png()}}),
        ("POST", "/api/v1/demos/shades", {"files": {"image": png()}, "headers": {"prefer": "respond-async"}}),
        ("POST", "/api/v1/demos/shades/compare", {"files": {"image": png()}}),
        ("POST", "/api/v1/demos/shades/batch", {"files": {"files": png()}}),
        ("POST", "/gradio_api/call/shades", {"json": {"data": []}}),
        ("POST", "/gradio_api/run/shades", {"json": {"data": []}}),
    ):
        answer = doors.ask("stranger", method, path, **more)
        assert answer.status_code == 404, (path, answer.status_code, answer.text[:500])
        assert "grey square" not in answer.text
        assert doors.ask("looker", "GET", path, **more).status_code != 404 or method == "POST"


def test_who_may_only_look_is_refused_with_a_403_in_words(doors: Doors) -> None:
    before = len(doors.hub.audit.search(Search(deed="run"), 1000))
    for path, more in (
        ("/api/v1/demos/shades", {}),
        ("/api/v1/demos/shades", {"headers": {"accept": "text/event-stream"}}),
        ("/api/v1/demos/shades", {"headers": {"prefer": "respond-async"}}),
    ):
        answer = doors.ask("looker", "POST", path, files={"image": png()}, **more)
        assert (answer.status_code, answer.json()["code"]) == (403, "may_not_run"), answer.text
        assert "You may look at Shades, but not run it" in answer.json()["detail"]
    batch = doors.ask("looker", "POST", "/api/v1/demos/shades/batch", files={"files": png()})
    assert (batch.status_code, batch.json()["code"]) == (403, "may_not_run")
    with pytest.raises(RightsError):
        compare(doors.hub.engine, "shades", {"image": png()}, caller=_caller(doors, "looker"))
    assert doors.ask("runner", "POST", "/api/v1/demos/shades", files={"image": png()}).status_code == 200
    lines = doors.hub.audit.search(Search(deed="run"), 1000)
    assert {line.outcome for line in lines[: len(lines) - before]} == {"ok", "may_not_run"}


def _caller(doors: Doors, who: str) -> Caller:
    return Caller(f"token {doors.tokens[who].split('_')[1]}", "run")


def test_gradio_client_and_the_events_of_a_page_ask_too(doors: Doors) -> None:
    picture = doors.hub.registry.get("shades").assets / "grey.png"
    for who, words in (("runner", ""), ("looker", "You may look at Shades"), ("stranger", "Cannot find|No demo")):
        client = Client(
            doors.url, headers={"authorization": f"Bearer {doors.tokens[who]}"}, verbose=False, httpx_kwargs=PATIENT
        )
        if not words:
            assert client.predict(handle_file(picture), api_name="/shades")[-1]["id"]
            continue
        with pytest.raises(Exception, match=words):
            client.predict(handle_file(picture), api_name="/shades")
    config = doors.ask("boss", "GET", "/config?page=shades").json()
    for event in config["dependencies"]:
        body = {"data": [None] * len(event["inputs"]), "fn_index": event["id"], "session_hash": "tab"}
        answer = doors.ask("stranger", "POST", "/gradio_api/run/predict", json=body)
        assert answer.status_code >= 400 and "grey square" not in answer.text, (event["id"], answer.text[:300])


def test_mcp_has_the_tools_that_one_sees_and_runs_those_that_one_may(doors: Doors) -> None:
    def call(who: str, method: str, **parameters: Any) -> str:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
        headers = {"accept": "application/json, text/event-stream"}
        return doors.ask(who, "POST", "/mcp", json=body, headers=headers).text

    for who, sees in (("boss", True), ("stranger", False), ("looker", True), ("stranger", False)):
        assert ("shades" in call(who, "tools/list")) == sees
    import base64

    arguments = {"image": base64.b64encode(png()).decode()}
    assert "You may look at Shades" in call("looker", "tools/call", name="shades", arguments=arguments)
    assert "No demo 'shades'" in call("stranger", "tools/call", name="shades", arguments=arguments)
    assert "receipt" in call("runner", "tools/call", name="shades", arguments=arguments)
    many = {"page": "shades", "pictures": [arguments["image"]]}
    assert "You may look at Shades" in call("looker", "tools/call", name="many-pictures", arguments=many)
    assert "No demo 'shades'" in call("stranger", "tools/call", name="many-pictures", arguments=many)


def test_a_shared_link_is_a_grant(doors: Doors) -> None:
    done = doors.ask("runner", "POST", "/api/v1/demos/shades", files={"image": png()}).json()
    link = doors.ask("runner", "POST", f"/api/v1/results/{done['id']}/links", json={}).json()["id"]
    opened = doors.ask("stranger", "GET", f"/r/{link}", headers={"accept": "text/html"})
    assert opened.status_code == 200 and "Shades" in opened.text
    assert doors.ask("stranger", "GET", f"/api/v1/links/{link}").status_code == 200


def test_streamlit_lists_what_who_looks_may_see(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    from hub.web.streamlit_ui import run as streamlit_run

    before = streamlit_host._host
    streamlit_host.use(doors.hub)
    try:
        for who, sees in (("runner", True), ("stranger", False)):
            monkeypatch.setattr(streamlit_run, "visitor", lambda who=who: _caller(doors, who))
            page = AppTest.from_function(_draw, default_timeout=60).run()
            assert not page.exception
            text = " ".join(str(one.value) for one in page.markdown)
            assert ("Tells light from dark" in text) == sees, (who, text[:500])
            assert "Takes its time" in text
    finally:
        streamlit_host._host = before


def _draw() -> None:
    from hub.web.streamlit_ui import page

    page.draw()


def test_where_nobody_said_who_asks_only_what_is_open_to_all_is_seen(doors: Doors) -> None:
    assert set(doors.hub.visible.pages) == {"slow"}
    with asking.asked_by(None):
        assert set(doors.hub.visible.pages) == {"shades", "slow"}


def test_no_door_lists_pages_without_asking_who_sees_them() -> None:
    """The whole registry is for what is built once, and for the hub itself."""
    may = {"server.py", "gradio_ui/app.py", "gradio_ui/mount.py", "gradio_ui/api.py", "middleware/bounds.py",
           "reloading.py", "gradio_door/parts.py", "api/health.py"}  # fmt: skip
    found = set()
    web = ROOT / "hub" / "web"
    for path in web.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr in ("registry", "_registry"):
                found.add(path.relative_to(web).as_posix())
    assert found <= may, found - may


def test_the_command_checks_the_file_and_tells_what_somebody_may(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "rights.toml"
    file.write_text('[[rules]]\npages = ["age_regression"]\nview = ["@staff"]\nrun = ["ann"]\n')
    assert main(["rights", "--rights", str(file), "--json"]) == 0
    rows = {row["page"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["age_regression"] == {"page": "age_regression", "view": "@staff, ann", "run": "ann"}
    assert rows["palm_keypoints"]["view"] == "everybody"
    assert main(["rights", "--rights", str(file), "--as", "ben", "--groups", "staff", "--json"]) == 0
    rows = {row["page"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["age_regression"] == {"page": "age_regression", "view": "yes", "run": "no"}
    file.write_text('[[rules]]\npages = ["age_regresion"]\nview = ["ann"]\n')
    assert main(["rights", "--rights", str(file)]) == 2
    assert "Did you mean 'age_regression'" in capsys.readouterr().err
