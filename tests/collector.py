"""An OpenTelemetry collector in this process: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Got:
    """A span as it came."""

    name: str
    trace: str
    id: str
    above: str
    begin: float
    end: float
    failed: bool
    values: dict[str, Any]


@dataclass
class Collector:
    """What has come in; `status` is what the next posts are answered."""

    url: str = ""
    status: int = 200
    posts: int = 0
    spans: list[Got] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)  # the process, as it says

    def take(self, body: bytes) -> None:
        """Raises DecodeError for what is no such message."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.about |= {one.key: one.value.string_value for one in resource.resource.attributes}
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                values = {one.key: getattr(one.value, str(one.value.WhichOneof("value"))) for one in span.attributes}
                self.spans.append(
                    Got(
                        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(),
                        span.start_time_unix_nano / 1e9, span.end_time_unix_nano / 1e9, span.status.code == 2, values,
                    )
                )  # fmt: skip

    def wait_for(self, name: str, trace: str = "", within_s: float = 20.0) -> Got:
        """The span of this name (and this trace), as soon as it has come."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            for span in [*self.spans]:
                if span.name == name and trace in ("", span.trace):
                    return span
            time.sleep(0.02)
        raise AssertionError(f"no span {name!r}; there came {sorted({span.name for span in self.spans})}")

    def below(self, above: Got) -> dict[str, Got]:
        """The parts of a piece of work, by name."""
        return {span.name: span for span in self.spans if span.above == above.id and span.trace == above.trace}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free port."""
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            collector.posts += 1
            if self.path == "/v1/traces" and collector.status == 200:
                collector.take(body)
            self.send_response(collector.status if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield collector
        server.shutdown()
