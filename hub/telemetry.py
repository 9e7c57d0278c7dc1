"""Sends traces to an OpenTelemetry collector (OTLP over HTTP), if `--otlp` or the standard variables name one.

Nothing of it is imported where they do not. The packages are the extra `otel`. FastAPI could trace by itself
(`FastAPI(telemetry=...)`): it would tell whole addresses, of which some are keys (`/r/<id>`, `?token=`), a span for
every file, and nothing of `streamlit run`. So the doors have a layer of our own (hub/web/traced.py), FastAPI's is
switched off, and this provider is ours alone and not the process's: no library of a page tells anything through it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from hub.errors import InputError
from hub.settings import INSTALLED, Settings
from hub.tracing import OpenSpan, Stage, Trace, Tracer

log = logging.getLogger(__name__)
PATH = "/v1/traces"
INSTALL = "pip install 'demo-hub[otel]'" if INSTALLED else "python -m pip install -r requirements-otel.txt"
CLOSE_S = 3.0  # for what was not told yet, at the end
TELL_EVERY_S = 60.0  # that a collector does not answer
VALUE_CHARS = 200
# Who writes a line for each batch that could not be sent.
NOISY = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.common.http",
    "opentelemetry.sdk._shared_internal",
)


def open_tracer(settings: Settings, environment: Mapping[str, str] = os.environ) -> Tracer:
    """The tracer that the settings ask for. Raises InputError where `otlp` is set and its packages are missing."""
    if not settings.otlp and not _is_asked_for(environment):
        return Tracer()
    try:
        return Exporting(endpoint_of(settings.otlp), environment)
    except ImportError:
        if settings.otlp:
            raise InputError("--otlp needs packages that are not installed: {install}", install=INSTALL) from None
        log.warning("OTEL_... variables name a collector, but no traces are sent: %s", INSTALL)
        return Tracer()


def endpoint_of(url: str) -> str:
    """Where spans are posted to: a collector's own address is enough. Empty: as the variables say."""
    return url if not url or urlsplit(url).path.endswith(PATH) else url.rstrip("/") + PATH


def _is_asked_for(environment: Mapping[str, str]) -> bool:
    def value(name: str) -> str:
        return environment.get(name, "").strip()

    if value("OTEL_SDK_DISABLED").lower() == "true" or value("OTEL_TRACES_EXPORTER").lower() not in ("", "otlp"):
        return False
    if not (value("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or value("OTEL_EXPORTER_OTLP_ENDPOINT")):
        return False
    protocol = value("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL") or value("OTEL_EXPORTER_OTLP_PROTOCOL")
    if protocol not in ("", "http/protobuf"):
        log.warning(
            "no traces are sent: OTEL_EXPORTER_OTLP_PROTOCOL is %r, and this hub speaks http/protobuf", protocol
        )
        return False
    return True


class Exporting(Tracer):
    """Spans wait in a bounded queue for a thread that sends them. Nobody waits for it: what has no room is dropped."""

    is_on = True

    def __init__(self, endpoint: str, environment: Mapping[str, str] = os.environ):
        """`endpoint`: empty, as the variables say. Raises ImportError."""
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import SpanLimits, TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        about = {"service.instance.id": f"{socket.gethostname()}:{os.getpid()}"}
        if "OTEL_SERVICE_NAME" not in environment and "service.name=" not in environment.get(
            "OTEL_RESOURCE_ATTRIBUTES", ""
        ):
            about["service.name"] = "demo-hub"
        for name in NOISY:
            logging.getLogger(name).addFilter(Seldom())
        # Sampler, bound of the queue, pace and time-outs are those of the standard variables, or OpenTelemetry's own.
        self._provider = TracerProvider(
            resource=Resource.create(about), span_limits=SpanLimits(max_attribute_length=VALUE_CHARS),
            shutdown_on_exit=False,
        )  # fmt: skip
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint or None)))
        self._tracer = self._provider.get_tracer("hub")

    def begin(self, name: str, above: Trace | None = None, *, at_door: bool = False) -> OpenSpan:
        """As `Tracer` says."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

        context = Context()  # and not that of whatever else runs in this thread
        if above is not None:
            place = SpanContext(
                int(above.trace_id, 16), int(above.span_id, 16), is_remote=True, trace_flags=TraceFlags(above.sampled)
            )
            context = set_span_in_context(NonRecordingSpan(place), context)
        kind = SpanKind.SERVER if at_door else SpanKind.INTERNAL
        return _SentSpan(self._tracer, self._tracer.start_span(name, context=context, kind=kind))

    def flush(self) -> None:
        """Sends what waits, and waits for it."""
        self._provider.force_flush()

    def close(self) -> None:
        """As `Tracer` says: a collector that hangs keeps nobody."""
        ending = threading.Thread(target=self._provider.shutdown, name="otlp-close", daemon=True)
        ending.start()
        ending.join(CLOSE_S)


class _SentSpan(OpenSpan):
    """A piece of work of which the collector is told, if it is sampled."""

    def __init__(self, tracer: Any, span: Any):
        context = span.get_span_context()
        trace_id, span_id = format(context.trace_id, "032x"), format(context.span_id, "016x")
        super().__init__(Trace(trace_id, span_id, sampled=bool(context.trace_flags.sampled)))
        self._tracer, self._span = tracer, span

    def rename(self, name: str) -> None:
        self._span.update_name(name)

    def tell(self, values: Mapping[str, str | int | float | bool]) -> None:
        if self._span.is_recording():  # a run that nobody waited for any more may end after it
            self._span.set_attributes(values)

    def add(self, stages: Iterable[Stage]) -> None:
        from opentelemetry.trace import set_span_in_context

        above = set_span_in_context(self._span)
        for stage in stages:
            begin = int(stage.begin * 1e9)
            part = self._tracer.start_span(stage.name, context=above, start_time=begin)
            part.end(end_time=begin + int(stage.seconds * 1e9))

    def end(self, *, failed: bool = False) -> None:
        if failed:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Seldom(logging.Filter):
    """Lets one line a minute pass: a collector that is gone would fill the log."""

    def __init__(self) -> None:
        super().__init__()
        self._last = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if time.monotonic() - self._last < TELL_EVERY_S:
            return False
        self._last = time.monotonic()
        return True
