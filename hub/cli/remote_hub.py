"""A hub elsewhere, over its REST door: its demos as declarations, its answers as results. Imports no torch."""

from __future__ import annotations

import base64
import io
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

import httpx
from PIL import Image, UnidentifiedImageError

from hub.errors import BusyError, DeadlineError, HubError, InputError, SignInError, UnavailableError
from hub.execution.executor import OnEvent
from hub.pages import kinds
from hub.pages.outputs import TEXT_CHARS, clean
from hub.people.users import TOKEN
from hub.results.result import EXTENSIONS, PAIRS, Picture, Receipt, Result
from hub.spec import (
    AudioInput,
    AudioOutput,
    Boxes,
    Choices,
    Demo,
    Gallery,
    ImageInput,
    ImageOutput,
    Input,
    Json,
    Labels,
    Mask,
    Output,
    Plot,
    Progress,
    Text,
    TextOutput,
    VideoInput,
    VideoOutput,
)

API = "/api/v1"
CONNECT_S = 10.0


class RemoteHub:
    """One hub at an address. Thread-safe. Every method raises a HubError with the hub's own words, or about it."""

    def __init__(self, url: str, auth: str = "", timeout_s: float = 300.0):
        self.url, self.timeout_s = _address(url), timeout_s
        self._client = httpx.Client(
            headers=credentials(auth),
            timeout=httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s)),
            follow_redirects=True,
        )

    def __enter__(self) -> RemoteHub:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._client.close()

    def demos(self) -> list[dict[str, Any]]:
        """Every demo in few words."""
        answer = self._ask("GET", f"{self.url}{API}/demos")
        listed_demos = _json(answer, self.url)
        if not isinstance(listed_demos, list) or not all(
            isinstance(one, dict) and "slug" in one for one in listed_demos
        ):
            raise _stranger(self.url, answer.status_code)
        # Where a redirect led (to https, say), runs go at once: a redirected POST may lose its body.
        self.url = str(answer.url).removesuffix(f"{API}/demos")
        return listed_demos

    def describe(self, slug: str) -> dict[str, Any]:
        """A demo in full: `inputs` is a JSON Schema."""
        detail = _json(self._ask("GET", f"{self.url}{API}/demos/{slug}"), self.url)
        if not isinstance(detail, dict) or "state" not in detail:
            raise _stranger(self.url, 200)
        if "inputs" not in detail:
            raise UnavailableError(
                "{slug} does not work on this hub: {reason}", slug=slug, reason=detail["state"]["reason"]
            )
        return detail

    def run(
        self, demo: Demo, slug: str, inputs: Mapping[str, Any], pictures: bool, hear: OnEvent
    ) -> tuple[Result, dict[str, list[str]]]:
        """The answer to one run, and the address of each picture. `pictures`: fetch their bytes, too."""
        files = {name: _file(name, value) for name, value in inputs.items() if isinstance(value, Path)}
        values = {name: value for name, value in inputs.items() if name not in files}
        body = {"data": values, "files": files} if files else {"json": values}
        until = time.monotonic() + self.timeout_s
        while True:
            try:
                answer = self._follow(f"{self.url}{API}/demos/{slug}", body, hear, until)
                break
            except BusyError as error:
                if time.monotonic() + error.retry_after_s > until:
                    raise
                time.sleep(error.retry_after_s)
        try:
            return self._result(demo, answer, pictures)
        except (KeyError, TypeError, AttributeError):
            raise _stranger(self.url, 200) from None

    def _follow(self, url: str, body: dict[str, Any], hear: OnEvent, until: float) -> Any:
        """A run's answer. Its stages and steps are told as the hub tells them; leaving early ends the run there."""
        headers = {"Accept": "text/event-stream, application/json"}
        with self._asking(), self._client.stream("POST", url, headers=headers, **body) as answer:
            if answer.status_code != 200 or "event-stream" not in answer.headers.get("content-type", ""):
                answer.read()
                if answer.status_code != 200:
                    raise _problem(answer, self.url)
                return _json(answer, self.url)
            for name, data in _events(answer.iter_lines()):
                if name == "result":
                    return data
                if name == "error":
                    raise _error_from_problem(data)
                if time.monotonic() > until:
                    raise self._too_late()
                if name == "stage":
                    hear(data["stage"], None)
                elif name == "progress":
                    text = (clean(data["text"][:TEXT_CHARS]),) if isinstance(data.get("text"), str) else None
                    hear("running", Progress(data["step"], data["total"], text=text))
        raise UnavailableError("{url} closed the connection before it had answered.", url=self.url)

    def _result(self, demo: Demo, answer: Mapping[str, Any], pictures: bool) -> tuple[Result, dict[str, list[str]]]:
        values: dict[str, Any] = {}
        groups: dict[str, tuple[Picture, ...]] = {}
        addresses: dict[str, list[str]] = {}
        captions = answer.get("captions", {})
        for field in demo.outputs:
            if field.name not in answer["outputs"]:
                continue  # optional, and not there this time
            content = answer["outputs"][field.name]
            if isinstance(field, Labels | Json | TextOutput):
                values[field.name] = content
                continue
            if kinds.has_files_beside(field):
                kept = self._take_files(field, content, pictures)
                addresses[field.name], groups[field.name] = kept
                values[field.name] = content
                continue
            entries = (
                content if isinstance(content, list) else [{"url": content, "caption": captions.get(field.name, "")}]
            )
            addresses[field.name] = [self._here(entry["url"]) for entry in entries]
            groups[field.name] = tuple(
                self._picture(address, entry["caption"])
                if pictures
                else Picture(b"", "image/png", 0, 0, entry["caption"])
                for address, entry in zip(addresses[field.name], entries, strict=True)
            )
        receipt_fields = {f.name for f in fields(Receipt)}
        content = {name: value for name, value in answer["receipt"].items() if name in receipt_fields}
        receipt = Receipt(**{**content, "remarks": tuple(map(str, content.get("remarks", ())))})
        seed = {"seed": answer["seed"]} if "seed" in answer else {}
        capsule = json.dumps({"page": answer["demo"], "parameters": seed})
        headline = str(answer.get("headline", ""))  # an older hub has none
        return Result(answer["id"], capsule, json.dumps(values), groups, receipt, headline=headline), addresses

    def _take_files(
        self, field: Output, content: dict[str, Any], fetched: bool
    ) -> tuple[list[str], tuple[Picture, ...]]:
        """The address of what is kept of boxes, a plot, a video or a sound, and its files, taken out of its data."""
        pair = next(names for names in PAIRS.values() if names[1] in content)
        first, second = (self._here(content.pop(name)) for name in pair)
        if not isinstance(field, VideoOutput | AudioOutput):
            return [first], (self._picture(first, "") if fetched else Picture(b"", "image/png", 0, 0),)
        media_type = "video/mp4" if isinstance(field, VideoOutput) else "audio/wav"
        size = content.get("width", 0), content.get("height", 0)
        data = self._ask("GET", second).content if fetched else b""
        return [second], (Picture(b"", "image/png", 0, 0), Picture(data, media_type, *size))

    def _here(self, url: str) -> str:
        """A picture's address as it can be reached from here, whatever the hub thinks it is called."""
        return self.url + url[url.index(f"{API}/") :]

    def _picture(self, url: str, caption: str) -> Picture:
        answer = self._ask("GET", url)
        media_type = answer.headers.get("content-type", "").partition(";")[0]
        try:
            with Image.open(io.BytesIO(answer.content)) as image:
                size = image.size
        except (UnidentifiedImageError, OSError):
            raise UnavailableError("What {url} answers is not a picture.", url=url) from None
        if media_type not in EXTENSIONS:
            raise UnavailableError(
                "{url} is {type}, not a PNG or JPEG picture.", url=url, type=media_type or "of no type"
            )
        return Picture(answer.content, media_type, *size, caption)

    def _ask(self, method: str, url: str) -> httpx.Response:
        """An answer with status 200. Raises HubError."""
        with self._asking():
            answer = self._client.request(method, url)
        if answer.status_code != 200:
            raise _problem(answer, self.url)
        return answer

    @contextmanager
    def _asking(self) -> Iterator[None]:
        """Turns what goes wrong on the way into a HubError."""
        try:
            yield
        except httpx.ConnectError as error:
            raise UnavailableError(
                "No hub answers at {url}: {reason}. Is it running, and the address right?",
                url=self.url,
                reason=_brief(error),
            ) from None
        except httpx.ConnectTimeout:
            raise UnavailableError(
                "No hub answers at {url} within {connect_s:g} s.", url=self.url, connect_s=CONNECT_S
            ) from None
        except httpx.TimeoutException:
            raise self._too_late() from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError("{url} cannot be asked: {reason}", url=self.url, reason=_brief(error)) from None

    def _too_late(self) -> DeadlineError:
        return DeadlineError(
            "{url} did not answer in {timeout_s:g} s. Give it longer with --timeout.",
            url=self.url,
            timeout_s=self.timeout_s,
        )


# --- what a hub says ------------------------------------------------------------------------------


def declared(detail: Mapping[str, Any]) -> Demo:
    """A demo's fields as far as flags and answers need them; its functions are on the other side."""
    inputs = tuple(_input(name, schema) for name, schema in detail["inputs"]["properties"].items())
    output_kinds: dict[str, Any] = {
        "image": ImageOutput,
        "mask": Mask,
        "gallery": Gallery,
        "text": TextOutput,
        "boxes": Boxes,
        "video": VideoOutput,
        "audio": AudioOutput,
    }
    outputs: list[Output] = []
    for entry in detail["outputs"]:
        name, schema = entry["name"], entry["schema"]
        label = schema.get("title", name)
        if entry["type"] == "labels":
            outputs.append(Labels(name, label, top=schema.get("x-top", 5)))
        elif entry["type"] == "json":
            outputs.append(Json(name, label, table=schema.get("type") == "array"))
        elif entry["type"] == "plot":
            x, y = schema.get("x-axes", ("", ""))
            outputs.append(Plot(name, label, x=x, y=y, bars=bool(schema.get("x-bars"))))
        elif entry["type"] in output_kinds:
            outputs.append(output_kinds[entry["type"]](name, label))
    return Demo(detail["title"], detail["summary"], detail["task"], inputs, tuple(outputs), _far, _far, _far, _far)


def _input(name: str, schema: Mapping[str, Any]) -> Input:
    label = schema.get("title", name)
    if schema.get("contentMediaType", "").startswith("image/"):
        return ImageInput(name, label)
    if schema.get("contentMediaType", "").startswith("video/"):
        return VideoInput(name, label)
    if schema.get("contentMediaType", "").startswith("audio/"):
        return AudioInput(name, label)
    return Choices(name, label) if schema.get("type") == "array" else Text(name, label)


def _far(*arguments: Any, **named: Any) -> Any:
    """In the place of a demo's four functions: here it is only described."""
    raise HubError("This demo runs on another machine. Call it there: python -m hub call URL SLUG")


def _problem(answer: httpx.Response, url: str) -> HubError:
    """The hub's own error, of the class that it has there."""
    if answer.status_code == 401:
        return SignInError(
            "The hub at {url} asks who you are; give --auth USER:PASSWORD or --auth TOKEN, or set HUB_AUTH.", url=url
        )
    try:
        return _error_from_problem(answer.json(), answer.headers.get("retry-after", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        return _stranger(url, answer.status_code)


def _error_from_problem(problem: Mapping[str, Any], retry_after: str = "") -> HubError:
    """Problem JSON as the error that it is at the hub. Raises KeyError and the like for what is none."""
    code, detail, field = str(problem["code"]), str(problem["detail"]), problem.get("field")
    kind = next((one for one in _kinds(HubError) if one.code == code), HubError)
    if issubclass(kind, BusyError):
        return kind(detail, retry_after_s=int(retry_after) if retry_after.isdecimal() else 1)
    return kind(detail, field=field)


def _events(lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    """Server-sent events: (name, JSON). Each of the hub's has one line of data."""
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
        elif line.startswith(":"):
            yield "", None  # a sign of life


def _kinds(kind: type[HubError]) -> Iterator[type[HubError]]:
    for one in kind.__subclasses__():
        yield one
        yield from _kinds(one)


def _json(answer: httpx.Response, url: str) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise _stranger(url, answer.status_code) from None


def _stranger(url: str, status: int) -> UnavailableError:
    return UnavailableError(
        "Something answers at {url} (status {status}), but it is not a Demo Hub.", url=url, status=status
    )


def _address(text: str) -> str:
    """An address with its scheme, without a slash at the end. Raises InputError."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        right = False
    if not right:
        raise InputError(
            "URL must be the address of a hub, such as https://demos.example.org, got {text!r}.", text=text
        )
    return url.partition("?")[0].partition("#")[0].rstrip("/")


def credentials(auth: str) -> dict[str, str]:
    """USER:PASSWORD or an access token as headers. Raises InputError."""
    if not auth:
        return {}
    if TOKEN.fullmatch(auth):
        return {"Authorization": f"Bearer {auth}"}
    if not all(auth.partition(":")[::2]):
        raise InputError("--auth of somebody who asks a hub must be USER:PASSWORD or an access token.")
    return {"Authorization": f"Basic {base64.b64encode(auth.encode()).decode()}"}


def _file(name: str, path: Path) -> tuple[str, bytes]:
    try:
        # A header takes letters alone, and a name of this disk may be any bytes.
        return os.fsencode(path.name).decode("utf-8", "replace"), path.read_bytes()
    except OSError as error:
        raise InputError(
            "{name}: cannot read {path}: {reason}.", name=name, path=path, reason=error.strerror, field=name
        ) from None


def _brief(error: Exception) -> str:
    text = str(error).strip().rstrip(".") or type(error).__name__
    return text.removeprefix("[Errno -2] ").removeprefix("[Errno 111] ")
