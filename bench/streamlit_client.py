"""What a browser and a Streamlit page say to each other: a session over a WebSocket, files, runs of the script."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.web.server.starlette.starlette_app_utils import generate_xsrf_token_string
from websockets.sync.client import connect

from bench.client import MULTIPART, Http, multipart

TIMEOUT_S = 180.0


class Session:
    """One open page: `page` of the app at `base` of a server. Not for two threads at once."""

    def __init__(self, port: int, base: str = "", page: str = ""):
        self._port, self._base, self._page, self.id = port, base, page, ""
        address, origin = f"ws://127.0.0.1:{port}{base}/_stcore/stream", f"http://127.0.0.1:{port}"
        options: dict[str, Any] = {"subprotocols": ["streamlit"], "origin": origin, "max_size": None}
        self._connecting = connect(address, **options)
        self._socket = self._connecting.__enter__()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._connecting.__exit__(kind, error, at)

    def run(self, *states: WidgetState, until: Callable[[ForwardMsg], bool] = lambda _: True) -> list[ForwardMsg]:
        """Runs the script with these widgets, and its fragments as it asks, until one message was as `until` wants and
        the script has come to its end; what it sent.

        Raises TimeoutError.
        """
        self._ask(states)
        messages, fragment, end = list[ForwardMsg](), "", time.monotonic() + TIMEOUT_S
        while time.monotonic() < end:
            message = self._receive()
            messages.append(message)
            if message.HasField("new_session"):
                self.id = message.new_session.initialize.session_id
            elif message.HasField("auto_rerun"):
                fragment, wait_s = message.auto_rerun.fragment_id, message.auto_rerun.interval
            elif message.WhichOneof("type") == "script_finished":
                if any(until(message) for message in messages):
                    return messages
                if fragment:
                    time.sleep(wait_s)
                    self._ask((), fragment)
        raise TimeoutError(f"{self._page or self._base} drew no answer")

    def _ask(self, states: Sequence[WidgetState], fragment: str = "") -> None:
        asked = BackMsg()
        rerun = asked.rerun_script
        rerun.page_name, rerun.fragment_id, rerun.is_auto_rerun = self._page, fragment, bool(fragment)
        rerun.context_info.url = f"http://127.0.0.1:{self._port}{self._base}/{self._page}"
        rerun.widget_states.widgets.extend(states)
        self._socket.send(asked.SerializeToString())

    def upload(self, widget: str, picture: bytes) -> WidgetState:
        """Puts a photo; the state of the uploader that holds it. Raises ConnectionError."""
        asked = BackMsg()
        asked.file_urls_request.request_id = secrets.token_hex(4)
        asked.file_urls_request.session_id = self.id
        asked.file_urls_request.file_names.append("photo.jpg")
        self._socket.send(asked.SerializeToString())
        message = self._receive()
        while not message.HasField("file_urls_response"):
            message = self._receive()
        (urls,) = message.file_urls_response.file_urls
        token = generate_xsrf_token_string()  # a browser has it as a cookie, and sends it as a header too
        headers = {**MULTIPART, "Cookie": f"_streamlit_xsrf={token}", "X-Xsrftoken": token}
        with Http(self._port) as http:
            status, answer = http.put(self._base + urls.upload_url, multipart({"photo.jpg": picture}), headers)
        if status not in (200, 204):
            raise ConnectionError(f"the upload was answered {status}: {answer[:200]!r}")
        state = WidgetState(id=widget)
        info = state.file_uploader_state_value.uploaded_file_info.add()
        info.file_id, info.name, info.size = urls.file_id, "photo.jpg", len(picture)
        info.file_urls.CopyFrom(urls)
        return state

    def _receive(self) -> ForwardMsg:
        data = self._socket.recv(TIMEOUT_S)
        assert isinstance(data, bytes)
        message = ForwardMsg()
        message.ParseFromString(data)
        return message


def elements(messages: Sequence[ForwardMsg], kind: str) -> list[Any]:
    """The elements of a kind, such as "file_uploader", in the order in which the script drew them."""
    drawn = [m.delta.new_element for m in messages if m.HasField("delta") and m.delta.HasField("new_element")]
    return [getattr(element, kind) for element in drawn if element.WhichOneof("type") == kind]


def pressed(widget: str) -> WidgetState:
    """A button at the moment of a click."""
    return WidgetState(id=widget, trigger_value=True)
