"""Sign-in at an OpenID Connect provider, in front of a served guard: coming in, staying, leaving, and each refusal."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from websockets.sync.client import connect

from hub.errors import InputError
from hub.hub import Hub
from hub.people import oidc, provider
from hub.people.audit import Search
from hub.people.oidc import Oidc
from hub.people.tokens import TokenStore
from hub.settings import TABLE, Settings
from hub.web.middleware import addresses, guard
from tests.oidc_provider import CLIENT, KEYS, SECRET, Provider, provider_served
from tests.served import running
from tests.web.middleware.test_proxy_signin import Inside

pytestmark = pytest.mark.slow

HTML = {"accept": "text/html"}


@pytest.fixture
def at() -> Iterator[Provider]:
    with provider_served() as served:
        yield served


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(oidc.SECRET, SECRET)
    monkeypatch.setattr(provider, "AGAIN_S", 0.0)


def settings_for(at: Provider, **more: Any) -> dict[str, Any]:
    return {
        "oidc_issuer": at.url, "oidc_client_id": CLIENT, "auth_roles": "@research:run,@boss:admin,*:view", **more
    }  # fmt: skip


@pytest.fixture
def url(make_hub: Callable[..., Hub], at: Provider) -> Iterator[str]:
    with running(guard.Guard(Inside(), make_hub(only=("slow",), **settings_for(at))), lifespan="off") as url:
        yield url


def begin(browser: httpx.Client, url: str, wanted: str = "") -> str:
    """Where the hub sends a browser that wants to sign in."""
    answer = browser.get(f"{url}/login/oidc", params={"next": wanted} if wanted else {}, headers=HTML)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


def at_provider(place: str, name: str) -> str:
    """Logs in there; where it sends the browser then."""
    assert httpx.get(place).status_code == 200
    return httpx.post(place, data={"name": name}).headers["location"]


def sign_in(browser: httpx.Client, url: str, name: str = "ann", wanted: str = "") -> httpx.Response:
    return browser.get(at_provider(begin(browser, url, wanted), name), headers=HTML)


# --- coming in ------------------------------------------------------------------------------------


def test_who_comes_back_from_the_provider_is_in_with_the_role_of_their_group(at: Provider, url: str) -> None:
    with httpx.Client() as browser:
        asked = browser.get(f"{url}/", headers=HTML)
        assert asked.status_code == 401
        button = re.search(r'<a href="(/login/oidc\?[^"]*)">Sign in at ([^<]*)<', asked.text)
        assert button and button[2] == urlsplit(at.url).netloc
        assert "password" not in asked.text
        back = sign_in(browser, url, wanted="/r/0?a=1")
        assert (back.status_code, back.headers["location"]) == (303, "/r/0?a=1")
        cookies = back.headers.get_list("set-cookie")
        assert any("hub_key=" in one and "HttpOnly" in one and "SameSite=Lax" in one for one in cookies)
        assert browser.get(f"{url}/r/0").json()[:2] == ["ann", "run"]
        assert browser.get(f"{url}/status").status_code == 403
        cookie = f"hub_key={browser.cookies['hub_key']}"
        place = url.replace("http", "ws") + "/streamlit/_stcore/stream"
        with connect(place, additional_headers={"Cookie": cookie}) as socket_:
            assert json.loads(socket_.recv()) == ["ann", "run"]
    assert at.asked.count("authorization_code") == 1
    assert httpx.get(f"{url}/", headers=HTML).status_code == 401


def test_others_have_the_role_of_everybody_and_tokens_stay_the_way_of_programs(
    at: Provider, make_hub: Callable[..., Hub]
) -> None:
    hub = make_hub(only=("slow",), **settings_for(at))
    token = TokenStore(hub.settings.data_folder).add("run")[1]
    with running(guard.Guard(Inside(), hub), lifespan="off") as url, httpx.Client() as browser:
        sign_in(browser, url, "eva")
        assert browser.get(f"{url}/r/0").json()[:2] == ["eva", "view"]
        assert browser.get(f"{url}/").status_code == 403
        headers = {"authorization": f"Bearer {token}"}
        assert httpx.get(f"{url}/", headers=headers).json()[1] == "run"
        refused = httpx.get(f"{url}/api/v1/demos")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="Demo Hub"')
        lines = [(line.deed, line.account) for line in hub.audit.search(Search(), 10)]
        assert lines == [("sign_in", "eva")]


def test_groups_that_only_userinfo_tells_count_too(at: Provider, url: str) -> None:
    at.tells_in_token = False
    with httpx.Client() as browser:
        sign_in(browser, url)
        assert browser.get(f"{url}/r/0").json()[:2] == ["ann", "run"]


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        ("//evil.example/x", "/evil.example/x"),
        ("https://evil.example/", "/https://evil.example/"),
        ("/\\evil.example", "/evil.example"),
        ("\\\\evil.example", "/evil.example"),
        ("/r/0\r\nSet-Cookie: a=b", "/r/0%0D%0ASet-Cookie:%20a=b"),
        ("/" + "x" * 4000, "/"),
    ],
)
def test_the_way_back_leads_to_no_other_site(at: Provider, url: str, wanted: str, place: str) -> None:
    with httpx.Client() as browser:
        assert sign_in(browser, url, wanted=wanted).headers["location"] == place


def test_below_a_path_the_way_there_and_back_is_below_it_too(at: Provider, make_hub: Callable[..., Hub]) -> None:
    public = "https://demos.example.org/hub"
    hub = make_hub(only=("slow",), public_url=public, **settings_for(at))
    app = addresses.BehindProxy(guard.Guard(Inside(), hub), hub.settings)
    with running(app, lifespan="off") as url:
        headers = {"host": "demos.example.org", **HTML}
        begun = httpx.get(f"{url}/hub/login/oidc?next=/r/0", headers=headers)
        query = parse_qs(urlsplit(begun.headers["location"]).query)
        assert query["redirect_uri"] == [f"{public}/login/oidc/callback"]
        cookie = begun.headers["set-cookie"]
        assert "Path=/hub/login/oidc" in cookie and "Secure" in cookie
        back = at_provider(begun.headers["location"], "ann").removeprefix("https://demos.example.org")
        answer = httpx.get(url + back, headers={**headers, "cookie": cookie.partition(";")[0]})
        assert (answer.status_code, answer.headers["location"]) == (303, "/hub/r/0")
        assert "Path=/hub/;" in answer.headers.get_list("set-cookie")[0]


# --- refusals -------------------------------------------------------------------------------------


def test_an_answer_that_another_browser_asked_for_is_refused(at: Provider, url: str) -> None:
    with httpx.Client() as browser, httpx.Client() as other:
        back = at_provider(begin(other, url), "ann")
        begin(browser, url)
        for answer in (browser.get(back, headers=HTML), browser.get(back.replace("state=", "state=x"), headers=HTML)):
            assert answer.status_code == 401
            assert "begun in another browser" in answer.text and "Sign in at" in answer.text
            assert "hub_key" not in answer.headers.get("set-cookie", "")
        assert at.asked.count("authorization_code") == 0


def test_a_code_is_worth_something_once(at: Provider, url: str) -> None:
    with httpx.Client() as browser:
        place = begin(browser, url)
        kept = dict(browser.cookies)
        back = at_provider(place, "ann")
        assert browser.get(back).status_code == 303
        again = httpx.get(back, cookies=kept, headers=HTML)
        assert again.status_code == 401 and "invalid_grant" in again.text


def test_who_is_refused_there_is_told_so_here(at: Provider, url: str) -> None:
    with httpx.Client() as browser:
        answer = sign_in(browser, url, "mallory")
        assert answer.status_code == 401
        assert "access_denied" in answer.text and "<b>no" not in answer.text


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://evil.example"}, "was issued by"),
        ({"aud": "another program"}, "another program"),
        ({"aud": [CLIENT, "another"]}, "another program"),  # and no azp
        ({"aud": [CLIENT, "another"], "azp": "another"}, "another program"),
        ({"nonce": "of another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"exp": 1_000_000_000}, "was over when it came"),
        ({"iat": 4_000_000_000}, "has not come yet"),
        ({"nbf": 4_000_000_000}, "has not come yet"),
        ({"exp": "soon"}, "is not whole"),
        ({"exp": None}, "is not whole"),
        ({"sub": None}, "is not whole"),
        ({"sub": 7}, "is not whole"),
        ({"preferred_username": None}, "tells no name of you"),
        ({"preferred_username": "ann:admin"}, "tells no name of you"),
        ({"preferred_username": "<script>"}, "tells no name of you"),
    ],
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused_in_words(
    at: Provider, url: str, claims: dict[str, Any], why: str
) -> None:
    at.claims = claims
    with httpx.Client() as browser:
        answer = sign_in(browser, url)
        assert answer.status_code == 401
        assert why in answer.text and "Traceback" not in answer.text
        assert browser.get(f"{url}/").status_code == 401


def test_a_minute_between_the_clocks_is_forgiven(at: Provider, url: str) -> None:
    import time

    at.claims = {"iat": int(time.time()) + 30, "exp": int(time.time()) - 30}
    with httpx.Client() as browser:
        assert sign_in(browser, url).status_code == 303


def test_keys_may_change_and_those_that_are_not_listed_count_for_nothing(
    at: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with httpx.Client() as browser:
        assert sign_in(browser, url).status_code == 303
        at.listed, at.signs_with = KEYS[1:2], KEYS[1]  # the next sign-in looks for the new key
        assert sign_in(browser, url).status_code == 303
        at.signs_with = KEYS[0]  # which is over
        answer = sign_in(browser, url)
        assert answer.status_code == 401 and "does not list" in answer.text
        at.signs_with = KEYS[2]
        assert sign_in(browser, url).status_code == 401
        monkeypatch.setattr(provider, "AGAIN_S", 60.0)
        before = at.asked.count("jwks")
        for _ in range(5):
            assert sign_in(browser, url).status_code == 401
        assert at.asked.count("jwks") == before  # nobody makes the hub ask again and again


def test_a_token_that_nobody_signed_is_refused(at: Provider, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = jwt.encode

    def unsigned(header: Any, claims: Any, key: Any) -> str:
        text = signed(header, claims, key)
        return "eyJhbGciOiJub25lIn0." + text.split(".")[1] + "."

    monkeypatch.setattr(jwt, "encode", unsigned)
    with httpx.Client() as browser:
        assert "does not list" in sign_in(browser, url).text
    monkeypatch.setattr(jwt, "encode", lambda *given: "what")
    with httpx.Client() as browser:
        assert "is no ID token" in sign_in(browser, url).text


@pytest.mark.parametrize(
    "trouble",
    [
        {"is_down": True},
        {"is_slow": True},
        {"is_endless": True},
        {"is_packed": True},
        {"metadata": {"issuer": "https://other.example"}},
        {"metadata": {"token_endpoint": None}},
        {"metadata": {"jwks_uri": "http://169.254.169.254/latest"}},
    ],
)
def test_a_provider_in_trouble_is_told_in_words_and_the_rest_goes_on(
    at: Provider, url: str, trouble: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "PATIENCE_S", 0.5)
    for name, value in trouble.items():
        setattr(at, name, value)
    answer = httpx.get(f"{url}/login/oidc", headers=HTML)
    assert answer.status_code == 503
    assert "Sign-in does not work just now" in answer.text and "Traceback" not in answer.text
    assert "Sign in at" in answer.text  # to try again
    assert httpx.get(f"{url}/", headers=HTML).status_code == 401
    assert httpx.get(f"{url}/embed.js").status_code in (200, 404)


def test_trouble_at_the_last_step_is_told_too_and_signing_in_works_once_it_is_over(at: Provider, url: str) -> None:
    with httpx.Client() as browser:
        back = at_provider(begin(browser, url), "ann")
        at.is_down = True
        answer = browser.get(back, headers=HTML)
        assert answer.status_code == 503 and "Traceback" not in answer.text
        at.is_down = False
        assert sign_in(browser, url).status_code == 303


def test_a_failure_is_told_to_all_for_a_moment_without_asking_again(
    at: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provider, "AGAIN_S", 60.0)
    at.is_down = True
    for _ in range(5):
        assert httpx.get(f"{url}/login/oidc").status_code == 503
    assert at.asked.count("configuration") == 1


def test_only_confirmed_addresses_of_the_named_domains_come_in(at: Provider, make_hub: Callable[..., Hub]) -> None:
    more = {"oidc_domains": "example.org", "oidc_name": "email"}
    door = guard.Guard(Inside(), make_hub(only=("slow",), **settings_for(at, **more)))
    with running(door, lifespan="off") as url, httpx.Client() as browser:
        assert sign_in(browser, url).status_code == 303
        assert browser.get(f"{url}/r/0").json()[0] == "ann@example.org"
        assert "confirmed e-mail address of example.org" in sign_in(browser, url, "eva").text
        at.people["eva"] = {"email": "eva@example.org", "email_verified": False}
        assert sign_in(browser, url, "eva").status_code == 401
        at.people["eva"] = {"email": "eva@evil.example.org", "email_verified": True}
        assert sign_in(browser, url, "eva").status_code == 401


def test_who_has_no_role_is_told_whom_to_ask(at: Provider, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",), **settings_for(at, auth_roles="@boss:admin"))
    with running(guard.Guard(Inside(), hub), lifespan="off") as url, httpx.Client() as browser:
        answer = sign_in(browser, url)
        assert answer.status_code == 403 and "not among those who may use this hub" in answer.text
        assert [line.deed for line in hub.audit.search(Search(), 10)] == ["sign_in_failed"]


# --- staying and leaving --------------------------------------------------------------------------


def test_a_session_is_asked_about_and_follows_what_the_provider_says(
    at: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "SHORTEST_S", 0.0)
    at.lasts_s = 0
    with httpx.Client() as browser:
        sign_in(browser, url)
        assert browser.get(f"{url}/r/0").json()[:2] == ["ann", "run"]
        at.people["ann"]["groups"] = ["boss"]
        assert browser.get(f"{url}/r/0").json()[:2] == ["ann", "admin"]
        assert at.asked.count("refresh_token") == 2
        at.sessions.clear()  # signed out there, or taken away
        assert browser.get(f"{url}/r/0").status_code == 401
        assert browser.get(f"{url}/r/0").status_code == 401
        assert at.asked.count("refresh_token") == 3


def test_a_provider_that_is_down_throws_nobody_out_for_an_hour(
    at: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(oidc, "SHORTEST_S", 0.0)
    monkeypatch.setattr(oidc, "AGAIN_S", 0.0)
    at.lasts_s = 0
    with httpx.Client() as browser:
        sign_in(browser, url)
        at.is_down = True
        assert browser.get(f"{url}/r/0").status_code == 200
        monkeypatch.setattr(oidc, "OUTAGE_S", -1.0)
        assert browser.get(f"{url}/r/0").status_code == 401


def test_without_a_refresh_token_a_session_lasts_as_long_as_the_provider_said(
    at: Provider, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at.gives_refresh = False
    with httpx.Client() as browser:
        sign_in(browser, url)
        assert browser.get(f"{url}/r/0").status_code == 200
        monkeypatch.setattr(oidc, "SHORTEST_S", 0.0)
        at.lasts_s = 0
        sign_in(browser, url)
        assert browser.get(f"{url}/r/0").status_code == 401


def test_signing_out_ends_the_session_here_and_there(at: Provider, make_hub: Callable[..., Hub]) -> None:
    hub = make_hub(only=("slow",), **settings_for(at))
    with running(guard.Guard(Inside(), hub), lifespan="off") as url, httpx.Client() as browser:
        sign_in(browser, url)
        key = browser.cookies["hub_key"]
        out = browser.post(f"{url}/sign-out")
        place = re.search(r'url=([^"]*)"', out.text)
        assert out.status_code == 200 and place
        there = browser.get(place[1].replace("&amp;", "&"))
        assert there.headers["location"] == f"{url}/sign-out"
        assert at.signed_out[0]["client_id"] == CLIENT and at.signed_out[0]["id_token_hint"]
        assert "You are signed out" in browser.get(there.headers["location"]).text
        assert httpx.get(f"{url}/r/0", cookies={"hub_key": key}).status_code == 401
        assert browser.get(f"{url}/r/0").status_code == 401
        again = browser.get(f"{url}/sign-in")
        assert again.headers["location"] == "/login/oidc"
        assert sign_in(browser, url).status_code == 303
        deeds = [(line.deed, line.account) for line in hub.audit.search(Search(), 10)]
        assert deeds == [("sign_in", "ann"), ("sign_out", "ann"), ("sign_in", "ann")]


def test_another_website_signs_nobody_out_or_in(at: Provider, url: str) -> None:
    with httpx.Client() as browser:
        sign_in(browser, url)
        answer = browser.post(f"{url}/sign-out", headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert browser.get(f"{url}/r/0").status_code == 200


# --- settings -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"oidc_client_id": ""}, "--oidc-client-id"),
        ({"auth_roles": ""}, "--auth-roles"),
        ({"oidc_issuer": "http://login.example.org"}, "must begin with https://"),
        ({"oidc_issuer": "https://login.example.org", "offline": True}, "--offline forbids it"),
        ({"oidc_secret_file": "/nowhere/secret"}, "/nowhere/secret cannot be read"),
    ],
)
def test_a_hub_that_could_sign_nobody_in_does_not_start(changed: dict[str, Any], why: str) -> None:
    chosen = {"oidc_issuer": "https://a.example", "oidc_client_id": "x", "auth_roles": "*:run", **changed}
    with pytest.raises(InputError, match=re.escape(why)):
        Oidc(Settings(**chosen))


def test_the_secret_is_no_flag_and_may_be_in_a_file(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not [name for name, _, _ in TABLE if name in ("oidc_secret", "oidc_client_secret")]
    monkeypatch.delenv(oidc.SECRET)
    (tmp_path / "secret").write_text("from a file\n")
    settings = Settings(
        oidc_issuer="https://a.example",
        oidc_client_id="x",
        auth_roles="*:run",
        oidc_secret_file=str(tmp_path / "secret"),
    )
    assert Oidc(settings).provider._secret == "from a file"
