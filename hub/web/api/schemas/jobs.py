"""Jobs in the OpenAPI document: their paths, and the shapes of their answers."""

from __future__ import annotations

from typing import Annotated, Any, get_args

from pydantic import Field
from typing_extensions import TypedDict

from hub.jobs.given import TRUTHS
from hub.jobs.reading import picture_input
from hub.jobs.records import Kind, RowState, State
from hub.jobs.rows import ORDERS
from hub.jobs.summary import Summary
from hub.pages.registry import Page
from hub.spec import Seed
from hub.web.api.schemas import pages, shapes
from hub.web.api.schemas.shapes import (
    BINARY,
    TEXT,
    Address,
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
from hub.web.problems import ProblemAnswer
from hub.web.routes import API

JobId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Whoever knows it may look at the job")]
PREFER: Schema = {
    "name": "Prefer",
    "in": "header",
    "schema": {"type": "string"},
    "description": "respond-async: answer 202 with a job at once, and do it when its turn comes",
}
KEY: Schema = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string"},
    "description": "Of a job, at most 200 characters: the same key with the same request is the same job",
}
WEBHOOK = in_query(
    "webhook", TEXT, "Of a job: an address of a host that the operator allows, told (signed) when it ends"
)
DATASET = (
    in_query("dataset", TEXT, "owner/name of a public dataset of the Hugging Face Hub, in the place of files"),
    in_query("split", TEXT, "Of the dataset; train where it is left out"),
    in_query("revision", TEXT, "Of the dataset"),
)
# Of each server-sent event; OpenAPI 3.1 has no better word for it.
EVENT = {
    "type": "object",
    "description": "Each event `job`, whose data is the job as it stands",
    "required": ["data"],
    "properties": {
        "event": {"type": "string"},
        "data": {"type": "string", "contentMediaType": "application/json", "contentSchema": ref("Job")},
    },
}
PER_PAGE, PER_PAGE_MOST, PAGES_MOST, TEXT_CHARS = 100, 500, 10_000, 200


class JobProgressAnswer(TypedDict):
    """How far a job is: pictures of a batch, or the steps of a run whose page tells them."""

    done: Count
    failed: Count
    total: Count
    stage: str
    step: Count | None
    steps: Count | None


class JobAnswer(TypedDict):
    """Work that was promised."""

    id: JobId
    kind: Kind
    demo: str
    state: State
    url: Address
    created_at: Instant
    begun_at: Instant | None
    ended_at: Instant | None
    place: Annotated[int | None, Field(ge=1, description="In the queue; 1 is the next. null: it does not wait")]
    left_s: Annotated[
        float | None,
        Field(ge=0, description="Seconds until it ends, by measured times, loads included; null: nothing was measured"),
    ]
    progress: JobProgressAnswer
    settings: dict[str, Any]
    labelled: Annotated[bool, Field(description="What is true of the pictures is known")]
    result: Annotated[Address | None, Field(description="Of a run that is done")]
    problem: ProblemAnswer | None
    links: dict[str, str]


class JobsAnswer(TypedDict):
    """The newest hundred jobs of who asks, the newest first."""

    jobs: list[JobAnswer]


class RowAnswer(TypedDict):
    """One picture of a batch."""

    number: Annotated[int, Field(ge=1)]
    file: str
    state: RowState
    headline: str
    answer: Annotated[str, Field(description="The likeliest label, or those that are picked; empty: there is none")]
    probability: Annotated[float | None, Field(description="Of that label; of the least sure one of several")]
    unsure: Annotated[float | None, Field(description="More is less sure")]
    truth: Annotated[str, Field(description="What is true of it, where that came along")]
    result: Address | None
    problem: Annotated[str, Field(description="Why it has no answer")]
    labels: list[str]
    numbers: dict[str, float]
    measured: Annotated[
        dict[str, Any],
        Field(
            description="Against a true mask: classes, with pixels that are rightly it, wrongly it, missed. Against "
            "true points: points, with distances in px, and side, the longer side of the box around the true ones. "
            "Against true boxes: boxes, by label those that are right, wrong, missed"
        ),
    ]
    thumbnail: Address


class RowsAnswer(TypedDict):
    """One page of a batch's table."""

    total: Count
    page: Count
    per_page: Count
    rows: list[RowAnswer]


def paths() -> dict[str, Any]:
    """The operations, by path."""
    one = [in_path("id")]
    orders: Schema = {"type": "string", "enum": list(ORDERS), "default": "number"}
    flag: Schema = {"type": "string", "enum": ["true"]}
    rows = [
        *pages_in_query(PAGES_MOST, PER_PAGE, PER_PAGE_MOST),
        in_query("order", orders),
        in_query("q", TEXT, "Words in the file's name, the answer or the problem"),
        in_query("answer", TEXT, "Of one label"),
        in_query("state", {"type": "string", "enum": list(get_args(RowState))}),
        in_query("wrong", flag, "Only answers that are not what is true"),
    ]
    files = {"csv": ("table.csv", "text/csv"), "JsonLines": ("table.jsonl", "application/jsonl"),
             "Pictures": ("pictures.zip", "application/zip")}  # fmt: skip
    job = f"{API}/jobs/{{id}}"
    return {
        f"{API}/jobs": {"get": _operation("listJobs", "Jobs of who asks", json_of(ref("Jobs")))},
        job: {
            "get": _operation("getJob", "A job", json_of(ref("Job")), one, (404,)),
            "delete": _end(one),
        },
        f"{job}/events": {
            "get": _operation("followJob", "A job's progress", {"text/event-stream": EVENT}, one, (404, 429),
                              "Server-sent events `job`, each with the job as it stands, until it has ended.")
        },
        f"{job}/result": {
            "get": _operation("getJobResult", "What the run is answered with", json_of(ref("Result")), one, (404, 409),
                              "Its problem, with its status, where it failed. 409: it has not ended.")
        },
        f"{job}/rows": {
            "get": _operation("listRows", "The table of a batch", json_of(ref("Rows")), [*one, *rows], (404, 422))
        },
        f"{job}/rows/{{number}}/thumbnail": {
            "get": _operation("getRowThumbnail", "At most 160 pixels a side", {"image/webp": BINARY},
                              [*one, in_path("number", {"type": "integer", "minimum": 1})], (404,))
        },
        f"{job}/rows/{{number}}/picture": {
            "get": _operation("getRowPicture", "At most 1280 pixels long; Picture-Size is how large it was",
                              {"image/jpeg": BINARY}, [*one, in_path("number", {"type": "integer", "minimum": 1})],
                              (404,))
        },
        f"{job}/summary": {
            "get": _operation("getSummary", "Counts, histograms, and how often it was right where that is known",
                              json_of(ref("Summary")), one, (404,))
        },
        **{
            f"{job}/{end}": {"get": _operation(f"getBatch{name.title()}", f"The batch as {end}", {kind: BINARY}, one,
                                               (404,))}
            for name, (end, kind) in files.items()
        },
    }  # fmt: skip


def batch(page: Page, options: pages.Options) -> Schema:
    """The operation that asks for many pictures of a page. Its page takes one picture."""
    form = pages.inputs(page.demo, "form", options)
    properties = {name: one for name, one in form["properties"].items() if name != picture_input(page.demo)}
    for field in page.demo.inputs:
        if isinstance(field, Seed):  # -1 is a new one; whatever else is wrong with a run, a batch of bad files is taken
            properties[field.name] = {**properties[field.name], "minimum": -1}
    properties["files"] = {
        "type": "array",
        "items": BINARY,
        "minItems": 1,
        "description": "Pictures, or ZIP files of them; a labels.csv (file,label) says what is true of them",
    }
    truths: Schema = {"type": "string", "enum": list(TRUTHS), "default": "auto"}
    where = "folders: what is true of a picture is the folder it lies in; auto: so where there are several"
    operation = _operation(
        f"batch_{page.slug}", f"Run {page.title} on many pictures", json_of(ref("Job")),
        [in_query("truth", truths, where), *DATASET, WEBHOOK, KEY], (400, 404, 409, 413, 415, 422, 429, 503),
        status=202,
    )  # fmt: skip
    required = [name for name in form.get("required", ()) if name in properties]
    shape: Schema = {"type": "object", "properties": properties, "required": required, "additionalProperties": False}
    operation["requestBody"] = {"content": {"multipart/form-data": {"schema": shape}}}
    return operation


def promised() -> Schema:
    """What a run is answered with that is to be done later."""
    return {
        "description": "It is a job now; Location says where",
        "content": {"application/json": {"schema": ref("Job")}},
    }


def schemas() -> dict[str, Schema]:
    """The components that `paths` refers to."""
    return shapes.components(JobsAnswer, RowsAnswer, Summary)


def _operation(
    id: str, summary: str, content: dict[str, Schema], parameters: list[Schema] | None = None,
    problems: tuple[int, ...] = (), text: str = "", status: int = 200,
) -> Schema:  # fmt: skip
    return make_operation(
        id, summary, content, problems, status=status, tag="Jobs", text=text, parameters=parameters or []
    )


def _end(parameters: list[Schema]) -> Schema:
    operation = _operation(
        "endJob", "Cancels a job; deletes one that has ended", json_of(ref("Job")), parameters, (403, 404)
    )
    operation["responses"]["204"] = {"description": "It had ended, and is deleted"}
    return operation
