"""The OpenAPI 3.1 document: one operation per demo, typed by its declaration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hub.execution.models import ACTIONS
from hub.hub import Hub
from hub.jobs.reading import picture_input
from hub.pages import kinds
from hub.pages.registry import Page, Registry
from hub.web.api import audit, boxes, plots, usage
from hub.web.api.answers import SIMILAR_LIMIT, SIMILAR_MOST
from hub.web.api.schemas import corrections, gallery, history, jobs, links, pages
from hub.web.api.schemas.shapes import (
    BINARY,
    OBJECT,
    TEXT,
    WORD,
    in_path,
    in_query,
    json_body,
    json_of,
    make_operation,
    problem_ref,
    ref,
)
from hub.web.problems import MEDIA_TYPE
from hub.weights import facts

PROBLEMS = {
    400: "The request is malformed",
    401: "This hub asks who you are: sign in, or send an access token",
    403: "Only its owner may do that",
    404: "No such demo, result, output or link",
    405: "The method is not allowed here",
    408: "The request came too slowly",
    409: "What was asked for is no longer as it was",
    410: "A link that was taken back, or is past its day",
    413: "More bytes or pixels than are read",
    415: "A format that is not read here",
    422: "An input is missing, unknown, of a wrong type or out of range; `field` names it",
    429: "The hub is busy; Retry-After says when to try again, in seconds",
    500: "The hub or the demo failed",
    503: "The model is not available, or there is no room in memory",
    504: "It took longer than the deadline",
}
RUN_PROBLEMS = (400, 404, 413, 415, 422, 429, 500, 503, 504)
ANYWHERE = (401, 403, 429, 500, 503)  # whatever is asked: who asks, from where, how often; a hub that stops
WITH_BODY = (400, 408, 413, 415, 422)
# Under what an operation stands in a list of them: its page, or else by the start of its address.
GROUPS = {
    "/api/v1/demos": "Demos",
    "/api/v1/jobs": "Jobs",
    "/api/v1/results": "Results",
    "/api/v1/links": "Links",
    "/api/v1/history": "History",
    "/api/v1/gallery": "Gallery",
    "/api/v1/grid": "Gallery",
}
OTHER = "This hub"


def of_hub(hub: Hub, place: str = "") -> dict[str, Any]:
    """The document of a hub, with what its weights bring; `place` is where a proxy has it."""
    return document(hub.visible, partial(facts.all_options, hub.weights), place)


def document(registry: Registry, options: Callable[[Page], pages.Options], place: str = "") -> dict[str, Any]:
    """The whole document, as JSON data.

    `options` tells what the weights of a page bring; `place` is where a proxy has the hub.
    """
    paths: dict[str, Any] = {
        "/api/v1/demos": _get("listDemos", "All demos", {"type": "array", "items": ref("Demo")}),
        "/api/v1/demos/{slug}/assets/{name}": _file("getAsset", ["slug", "name"]),
        "/api/v1/results/{id}": _get("getResult", "A stored result", ref("Result"), ["id"], (404,)),
        "/api/v1/results/{id}/similar": _similar(),
        "/api/v1/results/{id}/thumbnail": _file("getThumbnail", ["id"]),
        "/api/v1/results/{id}/{output}": _output(),
        "/api/v1/results/{id}/{output}/{number}": _file("getGalleryPicture", ["id", "output", "number"]),
        "/api/v1/status": _get("getStatus", "Device, models in memory, results, requests in work", OBJECT),
        "/api/v1/models": {
            **_get("listModels", "Every page's models, in memory or not", {"type": "array", "items": ref("Model")}),
            "post": _change_model(),
        },
        "/healthz": _get("getHealth", "Whether the process is up", OBJECT),
        "/readyz": _get("getReadiness", "Whether the hub can serve, and what is wrong", OBJECT, [], (503,)),
        **links.paths(),
        **corrections.paths(),
        **gallery.paths(),
        **history.paths(),
        **jobs.paths(),
        **usage.paths(),
        **audit.paths(),
        "/metrics": {"get": _operation("getMetrics", "Prometheus metrics", {"text/plain": {"type": "string"}})},
    }
    for page in registry:
        path = f"/api/v1/demos/{page.slug}"
        paths[path] = _get(f"describe_{page.slug}", f"About {page.title}", ref("Demo"), [], (404,))
        if page.declared:
            paths[path]["post"] = _run(page, options(page))
            paths[path]["post"]["parameters"] = [jobs.PREFER, jobs.KEY, jobs.WEBHOOK]
            paths[path]["post"]["responses"]["202"] = jobs.promised()
            if picture_input(page.declared):
                paths[f"{path}/batch"] = {"post": jobs.batch(page, options(page))}
            if len(page.declared.weights) > 1:
                paths[f"{path}/compare"] = {"post": _compare(page, options(page))}
    titles = {page.slug: page.title for page in registry}
    for path, operations in paths.items():
        for operation in operations.values():
            operation["tags"] = [_tag(path, titles)]
            statuses = (*ANYWHERE, *(WITH_BODY if "requestBody" in operation else ()), *((404,) if "{" in path else ()))
            for status in statuses:
                operation["responses"].setdefault(str(status), problem_ref(status))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Demo Hub",
            "version": hub_version(),
            "description": "Live model demos. Errors are problem JSON (RFC 9457).",
        },
        **({"servers": [{"url": place}]} if place else {}),
        "tags": [{"name": name} for name in dict.fromkeys([*titles.values(), *GROUPS.values(), OTHER])],
        "security": [{}, {"token": []}, {"password": []}],  # as the hub is started: {} is none
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer", "description": "An access token of the hub"},
                "password": {"type": "http", "scheme": "basic"},
            },
            "schemas": {
                **links.schemas(),
                **corrections.schemas(),
                **gallery.schemas(),
                **history.schemas(),
                **jobs.schemas(),
                **pages.fixed(),  # the last: the components that all share are whole there
            },
            "responses": {
                f"Problem{status}": {"description": text, "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
                for status, text in PROBLEMS.items()
            },
        },
    }


def _tag(path: str, titles: Mapping[str, str]) -> str:
    slug = path.removeprefix("/api/v1/demos/").partition("/")[0]
    return titles.get(slug) or next((name for start, name in GROUPS.items() if path.startswith(start)), OTHER)


def _change_model() -> dict[str, Any]:
    operation = make_operation(
        "changeModel", "The model as it stands now", json_of(ref("Model")), (403, 404, 409, 422, 503)
    )
    wish = {"demo": TEXT, "weights": TEXT, "action": {"enum": list(ACTIONS)}}
    body = json_body({"type": "object", "properties": wish, "required": ["demo", "action"]})
    return {**operation, "summary": "Load, pin, unpin or unload a page's model", "requestBody": body}


def hub_version() -> str:
    """The version of this program."""
    try:
        return version("demo-hub")
    except PackageNotFoundError:  # run from a checkout
        return "0.1.0"


def _operation(
    id: str, summary: str, content: dict[str, Any], parameters: list[str] | None = None, problems: tuple[int, ...] = ()
) -> dict[str, Any]:
    named = [in_path(name, _parameter(name)) for name in parameters or ()]
    return make_operation(id, summary, content, problems, parameters=named)


def _parameter(name: str) -> dict[str, Any]:
    return pages.ID if name == "id" else {"type": "integer", "minimum": 0} if name == "number" else WORD


def _get(
    id: str, summary: str, answer: dict[str, Any], parameters: list[str] | None = None, problems: tuple[int, ...] = ()
) -> dict[str, Any]:
    return {"get": _operation(id, summary, json_of(answer), parameters, problems)}


def _file(id: str, parameters: list[str]) -> dict[str, Any]:
    media_types = ("image/png", "image/jpeg", "image/svg+xml", "video/mp4", "audio/wav", "text/csv")
    content = {**dict.fromkeys(media_types, BINARY), "application/json": {}}
    operation = _operation(id, "A picture's, video's or sound's file, or a value as JSON", content, parameters, (404,))
    operation["responses"]["206"] = {
        "description": "The part of a video or sound that Range asked for",
        "content": {"video/mp4": BINARY, "audio/wav": BINARY},
    }
    operation["responses"]["416"] = {"description": "Range asks for a part that is not there"}
    operation["responses"]["304"] = {"description": "Not modified: the ETag of If-None-Match is right"}
    return {"get": operation}


def _output() -> dict[str, Any]:
    path = _file("getOutput", ["id", "output"])
    path["get"]["description"] = (
        "Boxes come as JSON, as COCO or drawn; plots as JSON, CSV, SVG or PNG; other outputs have one form only."
    )
    path["get"]["parameters"] += [
        in_query(
            "format",
            {"type": "string", "enum": list(dict.fromkeys([*boxes.FORMATS, *plots.FORMATS])), "default": "json"},
            f"Of boxes {', '.join(boxes.FORMATS)}; of plots {', '.join(plots.FORMATS)}",
        ),
        in_query("theme", {"type": "string", "enum": list(plots.THEMES), "default": "light"}, "Of plots"),
        in_query(
            "min_score", {"type": "number", "minimum": 0, "maximum": 1, "default": 0}, "Of boxes: the least score"
        ),
    ]
    path["get"]["responses"]["422"] = problem_ref(422)
    return path


def _similar() -> dict[str, Any]:
    operation = _get("findSimilar", "Similar pictures, nearest first", ref("Similar"), ["id"], (404, 422))
    operation["get"]["description"] = (
        "The page's examples, and past results: those of the browser session that the cookie hub_session names (32 to "
        "128 letters, digits, - or _; send it with runs too), or everyone's where the setting `similar` says so."
    )
    limit = {"type": "integer", "minimum": 1, "maximum": SIMILAR_MOST, "default": SIMILAR_LIMIT}
    operation["get"]["parameters"] += [
        in_query("limit", limit),
        {"name": "hub_session", "in": "cookie", "schema": TEXT},
    ]
    return operation


def _run(page: Page, options: pages.Options) -> dict[str, Any]:
    demo = page.demo
    told = (
        "Events stage and progress (step, total; as they come, left_s, preview "
        "as a data: URL, and text, all of it so far), at the end result or error, with JSON."
    )
    events = {"type": "string", "description": told}
    content = {"application/json": pages.answer(page), "text/event-stream": events}
    operation = _operation(page.slug, f"Run {page.title}", content, [], RUN_PROBLEMS)
    operation["description"] = " ".join(filter(None, (demo.summary, demo.note)))
    operation["requestBody"] = {
        "required": any(f.required for f in demo.inputs),
        "content": {
            "multipart/form-data": {"schema": pages.inputs(demo, "form", options)},
            "application/json": {"schema": _with_null(pages.inputs(demo, "json", options))},
        },
    }
    if not kinds.file_inputs(demo):
        content = operation["requestBody"]["content"]
        content["application/x-www-form-urlencoded"] = content["multipart/form-data"]
    retry = {"description": "Seconds to wait", "schema": {"type": "integer"}}
    operation["responses"]["429"] = {
        "description": PROBLEMS[429],
        "headers": {"Retry-After": retry},
        "content": {MEDIA_TYPE: {"schema": ref("Problem")}},
    }
    return operation


def _with_null(shape: dict[str, Any]) -> dict[str, Any]:
    """Of an input that may be left out, null says the same."""
    required = shape.get("required", ())
    properties = {
        name: one if name in required else {"anyOf": [one, {"type": "null"}]}
        for name, one in shape["properties"].items()
    }
    return {**shape, "properties": properties}


def _compare(page: Page, options: pages.Options) -> dict[str, Any]:
    """A run's operation, with two sets of weights in the place of one."""
    operation, names = _run(page, options), [w.name for w in page.demo.weights]
    sides = {
        f"weights_{side}": {"type": "string", "title": f"Weights {side.upper()}", "enum": names, "default": default}
        for side, default in zip("ab", names, strict=False)
    }
    for media_type in operation["requestBody"]["content"].values():
        properties = {k: v for k, v in media_type["schema"]["properties"].items() if k != "weights"}
        media_type["schema"] = {**media_type["schema"], "properties": properties | sides}
    operation["responses"]["200"] = {
        "description": "Both answers, and what differs",
        "content": {"application/json": {"schema": pages.comparison(page)}},
    }
    return {
        **operation,
        "operationId": f"compare_{page.slug}",
        "summary": f"Compare two sets of weights of {page.title}",
    }
