"""Websockets are bounded in number, in the size of a message and in how many come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from hub.hub import Hub
from hub.web.middleware import sockets
from hub.web.middleware.sockets import IN_WINDOW, MESSAGE_BYTES, OF_ADDRESS, Sockets


async def echo(scope: Any, receive: Any, send: Any) -> None:
    socket = WebSocket(scope, receive, send)
    await socket.accept()
    try:
        while True:
            await socket.send_text(str(len(await socket.receive_bytes())))
    except WebSocketDisconnect:
        pass


@pytest.fixture(scope="module")
def hub(make_hub: Callable[..., Hub]) -> Hub:
    return make_hub(only=("slow",))


def client_at(app: Any, address: str) -> TestClient:
    return TestClient(app, client=(address, 5000))


def test_one_address_has_so_many_and_others_still_some(hub: Hub) -> None:
    layer = Sockets(echo, hub)
    layer._open["10.0.0.1"] = OF_ADDRESS
    with pytest.raises(Exception) as refused, client_at(layer, "10.0.0.1").websocket_connect("/streamlit"):
        pass
    assert getattr(refused.value, "status_code", 0) == 429
    with client_at(layer, "10.0.0.2").websocket_connect("/streamlit") as other:
        other.send_bytes(b"hello")
        assert other.receive_text() == "5"
        assert layer._open["10.0.0.2"] == 1
    assert "10.0.0.2" not in layer._open
    layer._open["many"] = sockets.MOST
    with pytest.raises(Exception), client_at(layer, "10.0.0.3").websocket_connect("/streamlit"):  # noqa: B017
        pass


@pytest.mark.parametrize(("sizes", "code"), [([MESSAGE_BYTES, MESSAGE_BYTES + 1], 1009), ([1] * (IN_WINDOW + 1), 1008)])
def test_a_message_too_large_or_too_many_end_it(hub: Hub, sizes: list[int], code: int) -> None:
    with client_at(Sockets(echo, hub), "10.0.0.1").websocket_connect("/streamlit") as socket:
        for size in sizes[:-1]:
            socket.send_bytes(bytes(size))
            assert socket.receive_text() == str(size)
        socket.send_bytes(bytes(sizes[-1]))
        with pytest.raises(WebSocketDisconnect) as over:
            socket.receive_text()
    assert over.value.code == code
