"""One client that asks a hub for one thing after the other, and what it asks for."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from typing import Any

from PIL import Image

from bench.client import Http, multipart
from bench.context import Bench, BenchError
from bench.inputs import asides, values
from bench.load import request_bytes
from hub.spec import ImageInput

DRAWING = "stable_diffusion"  # the page that works for seconds at a time


def path_of(slug: str) -> str:
    return f"/api/v1/demos/{slug}"


def body_of(bench: Bench, slug: str, number: int, **given: Any) -> bytes:
    """A request of the page that no other number's equals; pictures that may be left out are."""
    demo = bench.registry.get(slug).demo
    left_out = asides(demo)
    made = {name: value for name, value in values(demo, number).items() if name not in left_out} | given
    for field in demo.inputs:
        if isinstance(field, ImageInput) and not field.required and field.name not in given:
            del made[field.name]
    pictures = {name: value for name, value in made.items() if isinstance(value, bytes)}
    return multipart(pictures, {name: value for name, value in made.items() if not isinstance(value, bytes)})


def whole_request(bench: Bench, slug: str, number: int) -> bytes:
    return request_bytes(path_of(slug), body_of(bench, slug, number))


def timed_ms(call: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    call()
    return (time.perf_counter() - begin) * 1000


def ask_all(http: Http, slug: str, bodies: Sequence[bytes]) -> list[float]:
    """Milliseconds of each request, one after the other. Raises BenchError."""
    return [timed_ms(lambda body=body: ask(http, slug, body)) for body in bodies]  # type: ignore[misc]


def ask(http: Http, slug: str, body: bytes) -> bytes:
    status, answer = http.post(path_of(slug), body)
    if status != 200:
        raise BenchError(f"{slug} answered {status}: {answer[:300]!r}")
    return answer


def get(http: Http, path: str) -> bytes:
    status, answer = http.get(path, {"Accept": "text/html"})
    if status != 200:
        raise BenchError(f"GET {path}: {status}")
    return answer


def other_page(bench: Bench) -> str:
    """A page with another model that answers at once. Raises BenchError."""
    quick = [slug for slug in bench.registry.pages if slug not in (bench.slug, DRAWING)]
    if not quick:
        raise BenchError("there is no second page")
    return "camvid_segmentation" if "camvid_segmentation" in quick else quick[0]


def need(bench: Bench, slug: str) -> None:
    """Raises BenchError where the page is not among those measured."""
    if slug not in bench.registry.pages:
        raise BenchError(f"the page {slug} is not here")


def enlarged(data: bytes, size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(data)).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()
