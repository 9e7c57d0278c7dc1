"""A small Hugging Face Hub on two local ports, for the real client: `HF_ENDPOINT=server.endpoint`.

One port is the Hub (API, small files, redirects), the other the storage host that large files are kept on, as the
Hub has it. Faults can be put in the way of any request: a status, a cut or slow body, other bytes.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import socketserver
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote, unquote, urlsplit

ID = r"((?:(?:spaces|datasets)/)?[^/]+/[^/]+)"  # a Space is kept as spaces/<owner>/<name>; a dataset likewise
TOKEN = "hf_localTokenThatMustNeverBeShown"
LFS = (".safetensors", ".bin", ".pth", ".pt", ".ckpt", ".model")  # kept on the storage host

Files = dict[str, bytes]


@dataclass
class Repo:
    """A repository: commits are whole trees; refs point at them."""

    private: bool = False
    gated: bool = False
    tag: str = ""  # what the Hub takes the model to be for
    sdk: str = ""  # of a Space
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, ref: str = "main") -> str:
        tree = "".join(f"{path} {hashlib.sha256(data).hexdigest()}\n" for path, data in sorted(files.items()))
        sha = hashlib.sha1(f"{self.refs.get(ref, '')}\n{tree}".encode()).hexdigest()
        self.commits[sha] = dict(files)
        self.refs[ref] = sha
        return sha


@dataclass
class Fault:
    """What happens to the next `times` requests whose path matches `pattern`."""

    pattern: str
    times: int = 1
    status: int = 0  # answer this instead
    headers: dict[str, str] = field(default_factory=dict)
    cut_after: int = -1  # close the connection after so many bytes of the body
    delay_s: float = 0.0  # wait before answering
    garble: bool = False  # send other bytes of the same length


@dataclass(frozen=True)
class Hit:
    """One request that was answered."""

    host: str  # hub or storage
    method: str
    path: str
    authorization: str
    range: str


class HubServer:
    """The state of both hosts. Thread-safe for what tests do: change it between requests."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.objects: dict[str, bytes] = {}  # the storage host, by sha256
        self.hits: list[Hit] = []
        self.faults: list[Fault] = []
        self.tokens = {TOKEN}
        self.lock = threading.Lock()
        self.endpoint = self.storage = ""

    def add(self, id: str, files: Files, ref: str = "main", **options: Any) -> str:
        """A commit that holds exactly `files`; returns its hash."""
        repo = self.repos.setdefault(id, Repo(**options))
        for path, data in files.items():
            if path.endswith(LFS):
                self.objects[hashlib.sha256(data).hexdigest()] = data
        return repo.commit(files, ref)

    def fault(self, pattern: str, **options: Any) -> Fault:
        self.faults.append(Fault(pattern, **options))
        return self.faults[-1]

    def count(self, pattern: str = "", host: str = "", method: str = "GET") -> int:
        """How many requests so far match."""
        return sum(bool(re.search(pattern, h.path)) and h.method == method and host in h.host for h in self.hits)

    def take_fault(self, path: str) -> Fault | None:
        with self.lock:
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.pattern, path):
                    fault.times -= 1
                    return fault
        return None


class Handler(BaseHTTPRequestHandler, ABC):
    """What both hosts share: faults, ranges, answers."""

    protocol_version = "HTTP/1.1"
    hub: HubServer
    host = "hub"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True  # the client went away, as some tests want it to

    def do_HEAD(self) -> None:
        self.work()

    do_GET = do_POST = do_PUT = do_HEAD

    def work(self) -> None:
        self.path_only = urlsplit(self.path).path
        length = int(self.headers.get("Content-Length") or 0)
        self.body = self.rfile.read(length) if length else b""
        authorization = self.headers.get("Authorization", "")
        with self.hub.lock:
            ranged = self.headers.get("Range", "")
            self.hub.hits.append(Hit(self.host, self.command, unquote(self.path), authorization, ranged))
        self.signed_in = authorization.removeprefix("Bearer ") in self.hub.tokens
        self.fault = self.hub.take_fault(unquote(self.path_only))
        if self.fault and self.fault.delay_s:
            time.sleep(self.fault.delay_s)
        if self.fault and self.fault.status:
            self.send(self.fault.status, {"error": "as the test wants it"}, self.fault.headers)
        else:
            self.route()

    @abstractmethod
    def route(self) -> None:
        """Answers a request that no fault stands in the way of."""

    def send(self, status: int, body: Any = b"", headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {**({} if isinstance(body, bytes) else {"Content-Type": "application/json"}), **(headers or {})}
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def refuse(self, status: int, code: str, message: str) -> None:
        self.send(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def file(self, data: bytes, headers: dict[str, str]) -> None:
        """A file or the wanted part of it; a fault may cut or garble it."""
        start = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        first = int(start[1]) if start else 0
        if first >= len(data) and first:
            self.send(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            return
        part = data[first:]
        if start:
            headers = {**headers, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
        if self.fault and self.fault.garble:
            part = bytes(255 - byte for byte in part)
        if self.fault and 0 <= self.fault.cut_after < len(part) and self.command == "GET":
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(part)))
            self.end_headers()
            self.wfile.write(part[: self.fault.cut_after])
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        self.send(206 if start else 200, part, headers)


class StorageHandler(Handler):
    """The storage host: signed addresses, ranges, no knowledge of repositories or tokens."""

    host = "storage"

    def route(self) -> None:
        oid = self.path_only.rsplit("/", 1)[-1]
        if self.command == "PUT":
            matches = hashlib.sha256(self.body).hexdigest() == oid
            if matches:
                self.hub.objects[oid] = self.body
            self.send(200 if matches else 400)
        elif "signature=" not in self.path or oid not in self.hub.objects:
            self.send(403)
        else:
            self.file(self.hub.objects[oid], {"ETag": f'"{oid[:32]}"'})


class HubHandler(Handler):
    """The Hub itself."""

    def route(self) -> None:
        routes = [
            (rf"/api/models/{ID}(?:/revision/([^/]+))?", self.info),
            (rf"/api/models/{ID}/tree/([^/]+)(?:/(.*))?", self.tree),
            (rf"/{ID}/resolve/([^/]+)/(.+)", self.resolve),
            (rf"/api/resolve-cache/models/{ID}/([^/]+)/(.+)", self.small),
            (r"/api/repos/create", self.create),
            (rf"/api/models/{ID}/preupload/([^/]+)", self.preupload),
            (rf"/{ID}\.git/info/lfs/objects/batch", self.batch),
            (rf"/api/models/{ID}/commit/([^/]+)", self.commit),
            (r"/api/validate-yaml", lambda: self.send(200, {"errors": [], "warnings": []})),
        ]
        path = re.sub(r"^/api/(spaces|datasets)/", r"/api/models/\1/", self.path_only)
        for pattern, answer in routes:
            found = re.fullmatch(pattern, path)
            if found:
                answer(*(unquote(part) if part else "" for part in found.groups()))
                return
        self.send(404, {"error": f"no such route: {self.path_only}"})

    def repo(self, id: str, *, files: bool = False) -> Repo | None:
        """The repository if this caller may see it (and, for `files`, read it); otherwise it is refused."""
        repo = self.hub.repos.get(id)
        if repo is None or (repo.private and not self.signed_in):
            self.refuse(404 if self.signed_in else 401, "RepoNotFound", "Repository not found")
            return None
        if files and repo.gated and not self.signed_in:
            self.refuse(401, "GatedRepo", f"Access to model {id} is restricted. You must be authenticated.")
            return None
        return repo

    def at(self, repo: Repo, revision: str) -> tuple[str, Files] | None:
        sha = repo.refs.get(revision or "main", revision)
        if sha not in repo.commits:
            self.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return sha, repo.commits[sha]

    def info(self, id: str, revision: str) -> None:
        repo = self.repo(id)
        found = repo and self.at(repo, revision)
        if not repo or not found:
            return
        sha, files = found
        siblings: list[dict[str, Any]] = []
        for path, data in sorted(files.items()):
            entry = described(path, data)
            siblings.append({"rfilename": path, **({} if "blobs" not in self.path else entry)})
        gated = "manual" if repo.gated else False
        said = {"pipeline_tag": repo.tag} if repo.tag else {}
        self.send(200, {"id": id, "sha": sha, "private": repo.private, "gated": gated, "siblings": siblings, **said})

    def tree(self, id: str, revision: str, under: str) -> None:
        repo = self.repo(id, files=True)
        found = repo and self.at(repo, revision)
        if not found:
            return
        entries = []
        for path, data in sorted(found[1].items()):
            if path.startswith(f"{under}/" if under else ""):
                entry = described(path, data)
                lfs = entry.get("lfs")
                pointer = {"lfs": {"oid": lfs["sha256"], "size": lfs["size"], "pointerSize": 134}} if lfs else {}
                entries.append({"type": "file", "path": path, "size": entry["size"], "oid": entry["blobId"], **pointer})
        self.send(200, entries)

    def resolve(self, id: str, revision: str, path: str) -> None:
        repo = self.repo(id, files=True)
        found = repo and self.at(repo, revision)
        if not found:
            return
        sha, files = found
        if path not in files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Error-Message": "Entry not found", "X-Repo-Commit": sha}
            self.send(404, {"error": "Entry not found"}, headers)
            return
        entry = described(path, files[path])
        headers = {"X-Repo-Commit": sha, "X-Linked-Size": str(entry["size"])}
        if "lfs" in entry:
            oid = entry["lfs"]["sha256"]
            location = f"{self.hub.storage}/objects/{oid}?signature=abc"
            headers |= {"X-Linked-Etag": f'"{oid}"', "Location": location}
            self.send(302, b"", headers)
        else:
            location = f"/api/resolve-cache/models/{id}/{sha}/{quote(path, safe='')}"
            headers |= {"X-Linked-Etag": f'"{entry["blobId"]}"', "Location": location}
            self.send(307, b"", headers)

    def small(self, id: str, revision: str, path: str) -> None:
        repo = self.repo(id, files=True)
        found = repo and self.at(repo, revision)
        if found:
            data = found[1][path]
            self.file(data, {"ETag": f'"{described(path, data)["blobId"]}"', "X-Repo-Commit": found[0]})

    # --- uploads ----------------------------------------------------------------------------------

    def may_write(self) -> bool:
        if not self.signed_in:
            self.send(401, {"error": "Invalid username or password."})
        return self.signed_in

    def create(self) -> None:
        if not self.may_write():
            return
        wanted = json.loads(self.body)
        kind = {"space": "spaces", "dataset": "datasets"}.get(wanted.get("type"))
        id = "/".join(filter(None, [kind, wanted.get("organization"), wanted["name"]]))
        if id in self.hub.repos:
            self.send(409, {"error": "You already created this model repo", "url": f"{self.hub.endpoint}/{id}"})
            return
        self.hub.add(
            id,
            {".gitattributes": b"*.safetensors filter=lfs\n"},
            private=wanted.get("visibility") == "private",
            sdk=wanted.get("sdk", ""),
        )
        self.send(200, {"url": f"{self.hub.endpoint}/{id}", "name": id, "id": id})

    def preupload(self, id: str, revision: str) -> None:
        repo = self.repo(id) if self.may_write() else None
        found = repo and self.at(repo, revision)
        if not found:
            return
        answers = []
        for entry in json.loads(self.body)["files"]:
            data = found[1].get(entry["path"])
            oid = None if data is None else described(entry["path"], data)["blobId"]
            mode = "lfs" if entry["path"].endswith(LFS) else "regular"
            answers.append({"path": entry["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        self.send(200, {"files": answers})

    def batch(self, id: str) -> None:
        if not self.may_write() or not self.repo(id):
            return
        objects = []
        for entry in json.loads(self.body)["objects"]:
            upload = {"upload": {"href": f"{self.hub.storage}/upload/{entry['oid']}"}}
            objects.append({**entry, **({} if entry["oid"] in self.hub.objects else {"actions": upload})})
        self.send(200, {"transfer": "basic", "objects": objects})

    def commit(self, id: str, revision: str) -> None:
        repo = self.repo(id) if self.may_write() else None
        found = repo and self.at(repo, revision)
        if not repo or not found:
            return
        files = dict(found[1])
        for line in self.body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        sha = repo.commit(files, revision)
        self.send(200, {"commitUrl": f"{self.hub.endpoint}/{id}/commit/{sha}", "commitOid": sha})


def described(path: str, data: bytes) -> dict[str, Any]:
    """Size, git's name and, for large files, the sha256 of a file, as the API gives them."""
    if not path.endswith(LFS):
        return {"size": len(data), "blobId": blob_id(data)}
    sha256 = hashlib.sha256(data).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {len(data)}\n".encode()
    lfs = {"sha256": sha256, "size": len(data), "pointerSize": len(pointer)}
    return {"size": len(data), "blobId": blob_id(pointer), "lfs": lfs}


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    # No address look-up of the local name: it takes seconds where there is no name server.
    server_bind = socketserver.TCPServer.server_bind


@contextmanager
def serving_hub() -> Iterator[HubServer]:
    """Runs both hosts until the block ends."""
    hub = HubServer()
    servers = []
    for base in (HubHandler, StorageHandler):
        handler = type(base.__name__, (base,), {"hub": hub})
        server = _Server(("127.0.0.1", 0), handler)
        # Looks for the end ten times as often as it would; each test that starts one waits for that.
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        servers.append(server)
    hub.endpoint, hub.storage = (f"http://127.0.0.1:{server.server_address[1]}" for server in servers)
    try:
        yield hub
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
