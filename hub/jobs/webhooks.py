"""Tells another program that a job has ended: signed, to hosts that the operator names, again where that fails.

The message and its three headers are those of Standard Webhooks (webhook-id, webhook-timestamp, webhook-signature), so
that its libraries can check them: the signature is `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import ipaddress
import json
import logging
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from hub.errors import HubError, InputError
from hub.jobs.records import StoredJob
from hub.jobs.store import JobStore
from hub.settings import Settings

log = logging.getLogger(__name__)
PAUSES_S = (10.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0)  # before the next try; after the last there is none
LOCK = "telling.lock"
TIMEOUT_S, LOOK_S = 10.0, 5.0
URL_CHARS, ANSWER_BYTES = 500, 4_096


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a message goes."""

    scheme: str
    host: str
    port: int
    path: str


class Webhooks:
    """Sends what is due, from one thread of one of the processes that use the data folder: nobody is told twice."""

    def __init__(self, settings: Settings):
        self._hosts = {host.strip().lower() for host in settings.webhook_hosts.split(",") if host.strip()}
        self._secret = settings.webhook_secret
        self._over, self._wake = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = FileLock(settings.data_folder / "jobs" / LOCK, timeout=0)

    def check(self, url: str) -> None:
        """Raises InputError for an address that is not told here."""
        if not self._hosts or not self._secret:
            raise InputError(
                "This hub tells no webhooks; its operator may allow hosts (webhook_hosts, webhook_secret).",
                field="webhook",
            )
        _target(url, self._hosts)

    def start(self, store: JobStore) -> None:
        """Sends from now on, where there is anybody to be told."""
        if self._hosts and self._secret and self._thread is None:
            self._thread = threading.Thread(target=self._work, args=(store,), name="webhooks", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """A job has ended."""
        self._wake.set()

    def close(self) -> None:
        self._over.set()
        self._wake.set()

    def _work(self, store: JobStore) -> None:
        try:
            self._tell_all(store)
        finally:
            self._lock.release()

    def _tell_all(self, store: JobStore) -> None:
        while not self._over.is_set():
            self._wake.wait(LOOK_S)
            self._wake.clear()
            try:
                if not self._is_mine():
                    continue
                for job in store.due() if not self._over.is_set() else ():
                    self._tell(store, job)
            except HubError as error:
                log.error("webhooks are not told: %s", error.message)

    def _is_mine(self) -> bool:
        """Whether it is this process that tells."""
        if not self._lock.is_locked:
            try:
                self._lock.acquire()
            except (Timeout, OSError):
                return False
        return True

    def _tell(self, store: JobStore, job: StoredJob) -> None:
        why = self._send(job)
        due = 0.0
        if why and job.tries < len(PAUSES_S):
            due = time.time() + PAUSES_S[job.tries]
        elif why:
            log.error("the webhook of job %s is given up after %d tries: %s", job.id, job.tries + 1, why)
        if why and due:
            log.warning("the webhook of job %s was not taken (try %d): %s", job.id, job.tries + 1, why)
        store.told(job.id, job.tries + 1, due)

    def _send(self, job: StoredJob) -> str:
        """Why it was not taken; empty: it was."""
        body, now = json.dumps(message_of(job), separators=(",", ":")).encode(), str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "demo-hub",
            "webhook-id": job.id,
            "webhook-timestamp": now,
            "webhook-signature": sign(self._secret, job.id, now, body),
        }
        try:
            target = _target(job.webhook, self._hosts)  # the operator may have changed their mind since
            connection = _connect(target)
            try:
                connection.request("POST", target.path, body, headers)
                answer = connection.getresponse()
                answer.read(ANSWER_BYTES)
            finally:
                connection.close()
        except (HubError, OSError, http.client.HTTPException, ValueError) as error:
            return str(error)[:200] or type(error).__name__
        # A redirect is no address that anybody has allowed.
        return "" if 200 <= answer.status < 300 else f"it answered {answer.status}"


def message_of(job: StoredJob) -> dict[str, Any]:
    """What is told: no more than whoever asked for the job knows already, and where to fetch the rest."""
    ended = datetime.fromtimestamp(job.ended, UTC).isoformat(timespec="milliseconds")
    return {
        "type": f"job.{job.state}",
        "timestamp": ended,
        "data": {"id": job.id, "kind": job.kind, "demo": job.page, "state": job.state, "result": job.result or None},
    }


def sign(secret: str, id: str, timestamp: str, body: bytes) -> str:
    """The signature of a message."""
    signed = b".".join((id.encode(), timestamp.encode(), body))
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


# --- where to -------------------------------------------------------------------------------------


def _target(url: str, hosts: set[str]) -> _Target:
    """Raises InputError for what no message is sent to."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise InputError("webhook is no address, such as https://hooks.example.org/jobs.", field="webhook") from None
    host = (parts.hostname or "").lower()
    if len(url) > URL_CHARS or not url.isascii() or not url.isprintable() or not host or parts.username is not None:
        raise InputError("webhook is no address, such as https://hooks.example.org/jobs.", field="webhook")
    named = f"[{host}]" if ":" in host else host
    usual = {"https": 443, "http": 80}.get(parts.scheme, 0)
    if (named if port in (None, usual) else f"{named}:{port}") not in hosts:
        raise InputError(
            "webhook: {host} is none of the hosts that this hub may tell.", host=host[:80], field="webhook"
        )
    # An operator who names an address of their own network, not a name, means it; there it may be plain HTTP.
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_address(host)):
        raise InputError("webhook must begin with https://.", field="webhook")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _Target(parts.scheme, host, port or usual, path)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _connect(target: _Target) -> http.client.HTTPConnection:
    """A connection to an address that was looked at: the name is not asked again, which could answer another.

    Raises OSError, InputError for a name that leads into the hub's own network.
    """
    found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not _is_address(target.host) and not all(ipaddress.ip_address(one).is_global for one in addresses):
        raise InputError("webhook: {host} is in a private network.", host=target.host, field="webhook")
    connection = http.client.HTTPConnection(target.host, target.port, timeout=TIMEOUT_S)
    plain = socket.create_connection((addresses[0], target.port), TIMEOUT_S)
    if target.scheme == "https":
        try:
            plain = ssl.create_default_context().wrap_socket(plain, server_hostname=target.host)
        except OSError:
            plain.close()
            raise
    connection.sock = plain
    return connection
