"""The history in the OpenAPI document: its paths, and the shapes of its answers."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from hub.archive.gallery import PAGES_MOST, TEXT_CHARS
from hub.archive.history import PER_PAGE, PER_PAGE_MOST
from hub.archive.history_store import State
from hub.web.api.schemas import shapes
from hub.web.api.schemas.shapes import (
    BINARY,
    OBJECT,
    TEXT,
    Count,
    Instant,
    Schema,
    in_path,
    in_query,
    json_of,
    make_operation,
    pages_in_query,
    ref,
)
from hub.web.middleware.sessions import TOKEN
from hub.web.routes import API

GIVEN: Schema = {"type": "string", "minLength": 1}
WHO = (
    "The history of who asks, and never another's: of the user who signed in; else of the browser session that the "
    "cookie hub_session names (32 to 128 letters, digits, - or _; send it with runs too). Empty for who sends neither."
)
FORGETS = (
    "A deleted run goes with its uploaded pictures. Its stored result goes too, unless another's history has it, which "
    "is not told: results_deleted counts those that are no longer yours. "
    "Shared results (links) are copies, and stay."
)


class SettingAnswer(TypedDict):
    """What a run was asked: one input by name, with the page's words for it."""

    name: str
    label: str
    value: Any
    unit: str


class ProgressAnswer(TypedDict):
    """Where a run in work is."""

    stage: str
    seconds: float
    step: NotRequired[Count]
    total: NotRequired[Count]
    left_s: NotRequired[float]


class RunAnswer(TypedDict):
    """One run of the history."""

    id: str
    demo: str
    title: str
    state: State
    created_at: Instant
    took_ms: float
    cached: Annotated[bool, Field(description="A stored result was the answer")]
    times: Annotated[Count, Field(description="How often the same was run")]
    headline: str
    spoken: Annotated[str, Field(description="The headline in the language of who asks, as the history's page has it")]
    message: Annotated[str, Field(description="Why it failed")]
    settings: list[SettingAnswer]
    weights: str
    digest: str
    inputs: Annotated[dict[str, str], Field(description="URLs of pictures, by input")]
    result: Annotated[str | None, Field(description="URL of the result; null: there is none")]
    thumbnail: str | None
    page: Annotated[str | None, Field(description="The run's own page")]
    open: Annotated[str | None, Field(description="Opens the demo's page with everything filled in")]
    progress: Annotated[ProgressAnswer | None, Field(description="While it is in work; else null")]


class PageRunsAnswer(TypedDict):
    """How many runs of one page there are."""

    slug: str
    title: str
    count: Count


class RunsAnswer(TypedDict):
    """One page of the runs that were looked for; those in work beside them."""

    total: Count
    page: Count
    per_page: Count
    running: list[RunAnswer]
    runs: list[RunAnswer]
    demos: list[PageRunsAnswer]


class DeletedAnswer(TypedDict):
    """How many runs are gone, and how many of their results."""

    deleted: Count
    results_deleted: Count


def paths() -> dict[str, Any]:
    """The operations, by path."""
    one = [in_path("id")]
    name = in_path("name")
    paging = [
        in_query(
            "q",
            {**TEXT, "maxLength": TEXT_CHARS},
            "Words of the page, its settings, weights or answer; all of them must be there",
        ),
        in_query("demo", TEXT, "Of one page"),
        *pages_in_query(PAGES_MOST, PER_PAGE, PER_PAGE_MOST),
    ]
    which = [
        in_query("ids", TEXT, "Ids of runs with commas between; this or `all` is needed"),
        in_query("all", {"type": "string", "enum": ["true"]}, "In the place of ids: all that ended"),
    ]
    sides = [{**in_query(side, GIVEN, "A run"), "required": True} for side in ("a", "b")]
    return {
        f"{API}/history": {
            "get": _operation(
                "listHistory", "What was run, the newest first", json_of(ref("Runs")), [*paging, COOKIE], (422,)
            ),
            "delete": _operation(
                "deleteRuns", "Runs deleted", json_of(ref("Deleted")), [*which, COOKIE], (403, 422), text=FORGETS
            ),
        },
        f"{API}/history/compare": {
            "get": _operation(
                "compareRuns", "Two runs of one page: what was asked, and what differs", json_of(OBJECT),
                [*sides, COOKIE], (404, 422),
            )
        },
        f"{API}/history/{{id}}": {
            "get": _operation("getRun", "A run", json_of(ref("Run")), [*one, COOKIE], (404,)),
            "delete": _operation(
                "deleteRun", "A run deleted", json_of(ref("Deleted")), [*one, COOKIE], (403, 404), text=FORGETS
            ),
        },
        f"{API}/history/{{id}}/stop": {"post": _stop([*one, COOKIE])},
        f"{API}/history/{{id}}/thumbnail": {
            "get": _file("getRunThumbnail", "At most 256 pixels a side", ("image/webp",), [*one, COOKIE])
        },
        f"{API}/history/{{id}}/inputs/{{name}}": {
            "get": _file(
                "getRunInput", "A picture that went in, as it came", ("image/png", "image/jpeg"), [*one, name, COOKIE]
            )
        },
    }  # fmt: skip


COOKIE: Schema = {
    "name": "hub_session",
    "in": "cookie",
    "schema": {"type": "string", "description": f"{TOKEN.pattern}; anything else is nobody's"},
}


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(RunsAnswer, DeletedAnswer)


def _operation(
    id: str,
    summary: str,
    content: dict[str, Schema],
    parameters: list[Schema],
    problems: tuple[int, ...],
    text: str = "",
    status: int = 200,
) -> dict[str, Any]:
    text = " ".join(filter(None, (WHO, text)))
    return make_operation(
        id, summary, content, problems, status=status, tag="History", text=text, parameters=parameters
    )


def _stop(parameters: list[Schema]) -> dict[str, Any]:
    summary = "Ends a run that is in work, whichever door it came through"
    operation = _operation("stopRun", summary, {}, parameters, (404,), status=204)
    operation["responses"]["204"]["description"] = "It ends at its next step"
    return operation


def _file(id: str, summary: str, kinds: tuple[str, ...], parameters: list[Schema]) -> dict[str, Any]:
    return _operation(id, summary, dict.fromkeys(kinds, BINARY), parameters, (404,))
