"""The MCP door of a served hub, through the official SDK's own client."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from mcp import Client, MCPError, StdioServerParameters
from PIL import Image

from hub.errors import InputError
from hub.hub import Hub
from hub.web.api import demos as rest
from hub.web.mcp import pictures as mcp_pictures
from hub.web.mcp import server as mcp_server
from tests.served import ROOT, run_async
from tests.web.doors import STOPPED, png


@pytest.fixture(scope="module")
def served_hub(make_hub: Callable[..., Hub]) -> Iterator[str]:
    """The REST and MCP doors over the fake demos; pictures of at most 1 MB."""
    hub = make_hub(max_upload_mb=1)
    hub.jobs.start()
    hub.models.machine()
    door = mcp_server.HttpDoor(hub)
    app = FastAPI(lifespan=lambda app: door.run(), docs_url=None, redoc_url=None, openapi_url="/api/v1/openapi.json")
    app.router.routes[:0] = rest.routes(hub)
    app.router.routes[:0] = door.routes()
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    served = uvicorn.Server(uvicorn.Config(app, http="h11", log_level="warning", ws="none"))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not served.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    served.should_exit = True
    thread.join(10)


def ask(served_hub: str, work: Callable[[Client], Coroutine[Any, Any, Any]], **options: Any) -> Any:
    """What `work` does with a connected client."""

    async def connected() -> Any:
        async with Client(f"{served_hub}/mcp", **options) as client:
            return await work(client)

    return run_async(connected())


def call(served_hub: str, name: str, arguments: dict[str, Any], **options: Any) -> Any:
    return ask(served_hub, lambda client: client.call_tool(name, arguments), **options)


def text_of(answer: Any) -> str:
    return "\n".join(block.text for block in answer.content if block.type == "text")


def in_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_many_pictures_are_a_job_that_tells_how_it_stands(served_hub: str) -> None:
    pictures = [in_base64(png(colour="white")), in_base64(png(colour="black")), in_base64(b"no picture")]
    wish = {"page": "shades", "pictures": pictures, "settings": {"threshold": 0.75}}
    job = call(served_hub, "many-pictures", wish).structured_content
    while job["state"] not in ("done", "failed"):
        job = call(served_hub, "job-status", {"id": job["id"]}).structured_content
    assert (job["progress"]["done"], job["progress"]["failed"]) == (2, 1)
    assert job["labels"] == {"light": 1, "dark": 1} and len(job["rows"]) == 3
    refused = call(served_hub, "many-pictures", {"page": "slow", "pictures": pictures})
    assert refused.is_error and "takes no batch" in text_of(refused)
    assert call(served_hub, "job-status", {"id": "x"}).is_error


def test_each_working_page_is_a_tool_with_the_declared_types(served_hub: str) -> None:
    tools = {tool.name: tool for tool in ask(served_hub, lambda client: client.list_tools()).tools}
    assert set(tools) == {"shades", "slow", "faulty", "absent", "many-pictures", "job-status"}
    shades = tools["shades"]
    assert shades.title == "Shades"
    assert "Tells light from dark." in shades.description
    given = shades.input_schema
    assert given["required"] == ["image"]
    threshold = given["properties"]["threshold"]
    assert (threshold["type"], threshold["minimum"], threshold["maximum"], threshold["default"]) == (
        "number",
        0,
        1,
        0.5,
    )
    assert given["properties"]["view"]["enum"] == ["front", "back"]
    assert [way["type"] for way in given["properties"]["image"]["anyOf"]] == ["string", "object"]
    assert "facts" in shades.output_schema["properties"]["outputs"]["properties"]
    assert shades.annotations.read_only_hint


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_an_answer_has_images_and_structured_content_as_rest_has(mode: str, served_hub: str) -> None:
    """The client checks the structured content against the tool's own schema."""
    arguments = {"threshold": 0.25, "count": 2, "seed": 7}
    answer = call(served_hub, "shades", {"image": in_base64(png()), **arguments}, mode=mode)
    assert not answer.is_error
    rest = httpx.post(f"{served_hub}/api/v1/demos/shades", data=arguments, files={"image": png()}, timeout=60).json()
    told = answer.structured_content
    assert told["id"] == rest["id"]
    assert rest["receipt"]["cached"]  # one run for both doors
    assert told["outputs"] == {name: rest["outputs"][name] for name in ("shares", "facts")}
    assert told["seed"] == 7
    assert told["receipt"]["digest"] == rest["receipt"]["digest"]
    assert [picture["output"] for picture in told["pictures"]] == ["picture", "mask", "copies", "copies"]
    images = [block for block in answer.content if block.type == "image"]
    for picture, image in zip(told["pictures"], images, strict=True):
        assert httpx.get(picture["url"], timeout=60).content == base64.b64decode(image.data)
    assert [image.mime_type for image in images] == ["image/jpeg", "image/png", "image/png", "image/png"]
    assert "Copies: copy 1" in text_of(answer)


def test_a_picture_may_come_in_every_way_that_is_told(served_hub: str) -> None:
    """Image content, a data: URL, an example's address, and an output of an earlier result."""
    data = in_base64(png())
    content = {"type": "image", "data": data, "mimeType": "image/png"}
    ids = [call(served_hub, "shades", {"image": way, "seed": 1}).structured_content["id"]
           for way in (data, f"data:image/png;base64,{data}", content)]  # fmt: skip
    assert len(set(ids)) == 1
    example = httpx.get(f"{served_hub}/api/v1/demos/shades", timeout=60).json()["examples"][0]["files"]["image"]
    for way in (example, served_hub + example, f"{served_hub}/api/v1/results/{ids[0]}/copies/1"):
        assert not call(served_hub, "shades", {"image": way, "seed": 1}).is_error, way


def test_a_large_picture_is_shown_small_and_linked_in_full(served_hub: str) -> None:
    answer = call(served_hub, "shades", {"image": in_base64(png(3000, 200)), "seed": 1})
    shown = {p["output"]: Image.open(io.BytesIO(base64.b64decode(block.data))).size
             for p, block in zip(answer.structured_content["pictures"],
                                 [b for b in answer.content if b.type == "image"], strict=True)}  # fmt: skip
    assert shown["picture"] == (1568, 105)
    assert shown["mask"] == (3000, 200)  # class ids are exact
    full = httpx.get(answer.structured_content["pictures"][0]["url"], timeout=60).content
    assert Image.open(io.BytesIO(full)).size == (3000, 200)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("shades", {"image": in_base64(png()), "threshold": 300}, "threshold must be between 0 and 1, got 300."),
        ("shades", {}, "image is missing"),
        ("shades", {"image": in_base64(png()), "treshold": 0.1}, "Did you mean 'threshold'"),
        ("shades", {"image": "no base64!"}, "image is not valid base64"),
        ("shades", {"image": {"type": "image"}}, "image is an object without data"),
        ("shades", {"image": "https://elsewhere.example/a.png"}, "this hub fetches nothing"),
        ("shades", {"image": "/api/v1/demos/shades/assets/private.txt"}, "this hub has no picture at"),
        ("shades", {"image": "/etc/hostname"}, "image is a path, '/etc/hostname', and this hub opens no files"),
        ("shades", {"image": "~root/a.png"}, "opens no files for callers from elsewhere; give the picture itself"),
        ("shades", {"image": "~nobody-of-this-name"}, "image is a path"),
        ("shades", {"image": "a\0.png"}, "image is a path, 'a\\x00.png'"),
        ("shades", {"image": "file:///etc/hostname"}, "opens no files"),
        ("shades", {"image": "FILE://localhost/etc/hostname"}, "opens no files"),
        ("shades", {"image": "C:\\Users\\a.png"}, "opens no files"),
        ("shades", {"image": f"/tmp/{'a' * 300}"}, "opens no files"),
        ("shades", {"image": f"{'a' * 5000}.png"}, "image is not valid base64"),
        ("shades", {"image": "ftp://elsewhere.example/a.png"}, "this hub fetches nothing"),
        ("shades", {"image": "HTTPS://elsewhere.example/a.png"}, "this hub fetches nothing"),
        ("shades", {"image": "http://[/api/v1/results/a/b"}, "this hub fetches nothing"),
        ("shades", {"image": f"/api/v1/results/{'0' * 32}/picture/{'9' * 1000}"}, "this hub has no picture at"),
        ("shades", {"image": 7}, "image must be a picture file, got 7."),
        ("shades", {"image": ["a"]}, "image must be a picture file, got a list."),
        ("shades", {"image": {"data": 7}}, "image is an object without data"),
        ("shades", {"image": in_base64(b"text" * 300_000)}, "image has"),
        ("faulty", {}, "faulty failed: ValueError: a bug in the demo"),
        ("absent", {}, "nowhere"),
    ],
)
def test_what_is_wrong_is_told_to_the_model_in_the_hubs_words(
    name: str, arguments: dict[str, Any], words: str, served_hub: str
) -> None:
    answer = call(served_hub, name, arguments)
    assert answer.is_error
    assert words in text_of(answer)
    assert "Traceback" not in text_of(answer) and len(text_of(answer)) < 400
    if "faulty" not in name:
        assert "Something went wrong in the hub" not in text_of(answer)


def test_a_path_is_read_over_stdio_alone_and_only_a_regular_file_within_the_limit(
    make_hub: Callable[..., Hub], tmp_path: Path
) -> None:
    """The same server as over stdio, in this process."""
    server = mcp_server.make(make_hub(max_upload_mb=1), files=True)
    (tmp_path / "a photo.png").write_bytes(png())
    (tmp_path / "large.png").write_bytes(bytes(2**20 + 1))
    (tmp_path / "text.png").write_text("no picture")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "pipe.png")

    async def use(given: Any) -> Any:
        async with Client(server) as client:
            return await client.call_tool("shades", {"image": given, "seed": 1})

    photo = tmp_path / "a photo.png"
    for good in (str(photo), photo.as_uri(), photo.as_uri().replace("file://", "file://localhost")):
        assert not run_async(use(good)).is_error, good
    wrong = {
        "~nobody-of-this-name/a.png": "Could not determine home directory",
        "~nobody-of-this-name": "Could not determine home directory",
        f"{tmp_path}/a\0b.png": "no path has a NUL character",
        f"file://{tmp_path}/a%00b.png": "no path has a NUL character",
        f"file://elsewhere.example{photo}": "a file:// address of another machine is not read",
        "file://[": "Invalid IPv6 URL",
        f"{tmp_path}/{'a' * 300}.png": "File name too long",
        f"{tmp_path}/{'a' * 300}": "File name too long",
        f"{tmp_path}/none.png": "No such file or directory",
        str(tmp_path): "it is a folder",
        f"{tmp_path}/pipe.png": "it is no regular file",
        f"{tmp_path}/link.png": "it is no regular file",
        "/dev/zero": "it is no regular file",
        f"{tmp_path}/large.png": "more than the 1 MB that are read",
        f"{tmp_path}/text.png": "image",
    }
    for given, words in wrong.items():
        answer = run_async(use(given))
        said = text_of(answer)
        assert answer.is_error and words in said and "Something went wrong" not in said and len(said) < 400, said


def test_addresses_are_looked_at_in_time_that_grows_with_their_length() -> None:
    """Ten times the text takes about ten times as long; a pattern that backtracks would take a thousand times."""

    def seconds(length: int) -> float:
        texts = ["http://" + "/api/v1/demos/" * (length // 14), "http://" + "a" * length, "/" * length, "a.:" * length]
        begin = time.perf_counter()
        for text in texts:
            for _ in range(20):
                with contextlib.suppress(InputError):
                    mcp_pictures.read_argument(None, "image", text, False)  # type: ignore[arg-type]  # asks no engine
        return time.perf_counter() - begin

    assert seconds(20_000) < 100 * seconds(2_000) + 0.5


def test_an_unknown_tool_is_told_with_near_misses(served_hub: str) -> None:
    async def miss(client: Client) -> str:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("shade", {})
        return caught.value.message

    assert ask(served_hub, miss) == "No demo 'shade'. Did you mean 'shades'?"


def test_steps_of_a_page_become_progress(served_hub: str) -> None:
    heard: list[tuple[float, float | None, str | None]] = []

    async def hear(progress: float, total: float | None, message: str | None) -> None:
        heard.append((progress, total, message))

    ask(served_hub, lambda client: client.call_tool("slow", {"seconds": 0.1, "prompt": "x"}, progress_callback=hear))
    assert heard[-1] == (1.0, 2.0, "running")
    assert [event[0] for event in heard] == sorted({event[0] for event in heard})  # it only grows


@pytest.mark.parametrize("mode", ["auto", "legacy"])
def test_a_cancelled_call_stops_the_model(mode: str, served_hub: str) -> None:
    STOPPED.clear()

    async def leave(client: Client) -> None:
        begun = asyncio.Event()

        async def hear(progress: float, total: float | None, message: str | None) -> None:
            if total:
                begun.set()

        # Another prompt each time: two equal runs would share one.
        running = asyncio.create_task(
            client.call_tool("slow", {"seconds": 50, "prompt": f"cancel {mode}"}, progress_callback=hear)
        )
        await asyncio.wait_for(begun.wait(), 20)
        running.cancel()
        await asyncio.wait([running], timeout=10)

    ask(served_hub, leave, mode=mode)
    assert STOPPED.wait(60)


LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "HUB"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://evil.example", "host": "evil.example"}, 403),  # its name points at this machine
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"content-type": "text/plain"}, 400),  # what a form of another site can send
    ],
)
def test_other_websites_are_refused(headers: dict[str, str], status: int, served_hub: str) -> None:
    headers = {name: value.replace("HUB", served_hub) for name, value in headers.items()}
    headers = {"accept": "application/json, text/event-stream", **headers}
    answer = httpx.post(f"{served_hub}/mcp", json=LIST, headers=headers, timeout=60)
    assert answer.status_code == status, answer.text


def test_a_browser_is_told_what_this_is(served_hub: str) -> None:
    answer = httpx.get(f"{served_hub}/mcp", headers={"accept": "text/html"}, timeout=60)
    assert answer.status_code == 405
    assert "MCP client" in answer.text


@pytest.mark.slow
def test_a_desktop_agent_gets_the_tools_over_stdio(tmp_path: Path) -> None:
    """Pictures by path, and only the protocol on stdout, whatever a page prints."""
    folder = tmp_path / "demos"
    folder.mkdir()
    (folder / "shades.py").write_text(
        "from tests.web.doors import SHADES, variant\nprint('noise')\nDEMO = variant(SHADES, examples=())\n"
    )
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "hub", "mcp", "--demos-folder", str(folder), "--data", str(tmp_path / "data"), "--device", "cpu"],
        cwd=ROOT,
    )

    async def use() -> Any:
        async with Client(command) as client:
            tools = await client.list_tools()
            return tools.tools, await client.call_tool("shades", {"image": str(tmp_path / "photo.png")})

    tools, answer = run_async(use())
    assert [tool.name for tool in tools] == ["shades", "many-pictures", "job-status"]
    assert "folder" in tools[1].input_schema["properties"]
    assert "path of a file" in tools[0].input_schema["properties"]["image"]["description"]
    assert f"cannot read {tmp_path}/photo.png: No such file" in text_of(answer)
