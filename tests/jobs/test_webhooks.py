"""A webhook is told of a job's end: signed, only where the operator allows, again where that fails."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from hub.errors import InputError
from hub.hub import Hub
from hub.jobs import webhooks
from hub.jobs.jobs import Wish
from hub.jobs.webhooks import Webhooks
from hub.settings import Settings
from tests.fakes import Calls, counting_demo, wait_until

SECRET = "a secret of the operator".replace(" ", "-")


class Receiver(HTTPServer):
    """Keeps what it gets; answers with the statuses that it was told to, then with 204."""

    heard: list[tuple[dict[str, str], bytes]]
    statuses: list[int]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server: Any = self.server
        body = self.rfile.read(int(self.headers["Content-Length"]))
        server.heard.append(({name.lower(): value for name, value in self.headers.items()}, body))
        status = server.statuses.pop(0) if server.statuses else 204
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver(("127.0.0.1", 0), Handler)
    server.heard, server.statuses = [], []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("statuses", [[], [500], [302]])
def test_the_end_of_a_job_is_told_signed_and_again_after_a_failure(
    make_hub: Callable[..., Hub], receiver: Receiver, monkeypatch: pytest.MonkeyPatch, statuses: list[int]
) -> None:
    monkeypatch.setattr(webhooks, "PAUSES_S", (0.01, 0.01))
    monkeypatch.setattr(webhooks, "LOOK_S", 0.05)
    receiver.statuses = [*statuses]
    place = f"127.0.0.1:{receiver.server_address[1]}"
    hub = make_hub({"webhook_hosts": place, "webhook_secret": SECRET}, doubler=counting_demo(Calls()))
    hub.jobs.start()
    job = hub.jobs.ask_run("doubler", {"number": 3}, None, Wish(webhook=f"http://{place}/jobs?x=1"))
    wait_until(lambda: len(receiver.heard) == len(statuses) + 1)
    hub.jobs.close()
    headers, body = receiver.heard[-1]
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    digest = hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(digest).decode()}"
    message = json.loads(body)
    assert message["type"] == "job.done" and message["data"]["id"] == job.id == headers["webhook-id"]


def test_of_two_hubs_on_one_folder_one_tells(
    make_hub: Callable[..., Hub], receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "LOOK_S", 0.05)
    place = f"127.0.0.1:{receiver.server_address[1]}"
    settings = {"webhook_hosts": place, "webhook_secret": SECRET}
    hubs = [make_hub(settings, doubler=counting_demo(Calls())) for _ in range(2)]
    for hub in hubs:
        hub.jobs.start()
    wish = Wish(webhook=f"http://{place}/jobs")
    asked = {hubs[number % 2].jobs.ask_run("doubler", {"number": number}, None, wish).id for number in range(6)}
    wait_until(lambda: len(receiver.heard) >= len(asked))
    wait_until(lambda: not hubs[0].jobs._store.due())
    for hub in hubs:
        hub.jobs.close()
    told = [headers["webhook-id"] for headers, _ in receiver.heard]
    assert sorted(told) == sorted(asked)


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://elsewhere.example.org/x", "none of the hosts"),
        ("https://hooks.example.org:8443/x", "none of the hosts"),
        ("http://hooks.example.org/x", "https://"),
        ("https://ann:secret@hooks.example.org/", "no address"),
        ("https://hooks.example.org:port/", "no address"),
        ("file:///etc/passwd", "no address"),
    ],
)
def test_what_the_operator_did_not_allow_is_refused(url: str, text: str) -> None:
    hooks = Webhooks(Settings(webhook_hosts="hooks.example.org", webhook_secret=SECRET))
    hooks.check("https://hooks.example.org/jobs")
    with pytest.raises(InputError) as refused:
        hooks.check(url)
    assert text in refused.value.message


def test_a_name_that_leads_into_a_private_network_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **named: found)
    with pytest.raises(InputError, match="private network"):
        webhooks._connect(webhooks._target("https://hooks.example.org/", {"hooks.example.org"}))


def test_without_hosts_and_secret_nobody_is_told() -> None:
    with pytest.raises(InputError, match="tells no webhooks"):
        Webhooks(Settings(webhook_hosts="hooks.example.org")).check("https://hooks.example.org/")
