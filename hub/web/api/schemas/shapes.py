"""What the fixed answers of REST look like: one class says it to mypy, where the answer is made, and to OpenAPI.

Such a class is a TypedDict called `...Answer`; its component in the document is called the same without that word.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict

from hub.describe import StateCode
from hub.engine.differences import NumberPair, PictureDifference
from hub.pages.values import SEED_LIMIT
from hub.results.result import Receipt

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"
TEXT: Schema = {"type": "string"}
OBJECT: Schema = {"type": "object"}
BINARY: Schema = {"type": "string", "format": "binary"}


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """Beside `dict[str, Any]`: what `asdict` makes of this dataclass, whose schema it has in the document."""

    shape: type

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return handler.generate_schema(self.shape)


Count = Annotated[int, Field(ge=0)]
SeedNumber = Annotated[int, Field(ge=0, le=SEED_LIMIT - 1)]
ReceiptFields = Annotated[dict[str, Any], FieldsOf(Receipt)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]  # ISO 8601, UTC
Address = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
ResultId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Names the result; the same run, the same id")]


class ResultExtras(TypedDict, total=False):
    """What some results have."""

    captions: Annotated[
        dict[str, str], Field(description="What a page shows in the place of a picture's label, by output")
    ]
    seed: Annotated[int, Field(description="The seed that was used")]


class ResultAnswer(ResultExtras):
    """What a run is answered with."""

    id: ResultId
    demo: str
    headline: Annotated[str, Field(description="The answer in a few plain words")]
    outputs: dict[str, Any]
    receipt: ReceiptFields


class ComparisonAnswer(TypedDict):
    """What a comparison of two sets of weights is answered with."""

    demo: str
    a: ResultAnswer
    b: ResultAnswer
    rows: list[Annotated[dict[str, Any], FieldsOf(NumberPair)]]
    pictures: list[Annotated[dict[str, Any], FieldsOf(PictureDifference)]]
    notes: Annotated[list[str], Field(description="Where one side was not asked exactly what was given")]


class SimilarPictureAnswer(TypedDict):
    """An example of the page, or a past result."""

    kind: Literal["example", "result"]
    id: ResultId
    url: Address
    title: Annotated[str, Field(description="Of an example; empty for a past result")]
    similarity: Annotated[float, Field(ge=-1, le=1, description="Cosine of the two embeddings")]
    thumbnail: Annotated[Address, Field(description="JPEG of at most 160 pixels a side")]
    created_at: Annotated[Instant | None, Field(description="When who asks had it first; null: they never ran it")]


class SimilarAnswer(TypedDict):
    """What is similar to a result, nearest first."""

    id: ResultId
    demo: str
    similar: list[SimilarPictureAnswer]
    complete: Annotated[
        bool,
        Field(
            description="Whether all examples were compared. If not, they follow once the model is in memory and idle"
        ),
    ]


class StateAnswer(TypedDict):
    """Whether a page answers now."""

    code: StateCode
    text: str
    reason: str


class DemoAnswer(TypedDict):
    """A page in few words; what is not required is told of one page alone."""

    slug: str
    title: str
    summary: str
    task: str
    url: str
    cover: str | None
    state: StateAnswer
    note: NotRequired[str]
    inputs: NotRequired[dict[str, Any]]
    outputs: NotRequired[list[Any]]
    examples: NotRequired[list[Any]]
    weights: NotRequired[list[Any]]
    links: NotRequired[dict[str, Any]]


class Steps(TypedDict):
    """How far a run is, where its demo tells."""

    step: Count
    total: Count
    left_s: NotRequired[float]


# --- schemas of these classes ---------------------------------------------------------------------


def schema_of(shape: Any) -> Schema:
    """The schema of a value that is no component; those that it is made of are."""
    document = TypeAdapter(shape).json_schema(ref_template=REF, schema_generator=_Generator)
    document.pop("$defs", None)
    return document


def components(*answers: type) -> dict[str, Schema]:
    """The components of these classes, and of those that they are made of, by name."""
    adapters: list[tuple[str, Any, TypeAdapter[Any]]] = [(a.__name__, "validation", TypeAdapter(a)) for a in answers]
    _, document = TypeAdapter.json_schemas(adapters, ref_template=REF, schema_generator=_Generator)
    return dict(document["$defs"])


class _Generator(GenerateJsonSchema):
    """Schemas as short as written by hand: without titles, which would only say the names again."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("Answer")

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        document = super().typed_dict_schema(schema)
        document.pop("title", None)
        return document

    def dataclass_schema(self, schema: core_schema.DataclassSchema) -> JsonSchemaValue:
        document = super().dataclass_schema(schema)
        document.pop("title", None)
        return document

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        document = super().dict_schema(schema)
        if document.get("additionalProperties") is True:  # which is so where nothing is said
            del document["additionalProperties"]
        return document

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if isinstance(inner.get("type"), str):
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)


# --- pieces of the document -----------------------------------------------------------------------


def make_operation(
    id: str,
    summary: str,
    content: Mapping[str, Schema],
    problems: Iterable[int] = (),
    *,
    status: int = 200,
    tag: str = "",
    text: str = "",
    parameters: Sequence[Schema] = (),
) -> Schema:
    """An operation that answers with `content`, a schema by media type, or with one of these problems."""
    answer: Schema = {"description": summary}
    if content:
        answer["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    operation: Schema = {"operationId": id, "summary": summary}
    if text:
        operation["description"] = text
    if tag:
        operation["tags"] = [tag]
    if parameters:
        operation["parameters"] = [*parameters]
    operation["responses"] = {str(status): answer, **{str(number): problem_ref(number) for number in problems}}
    return operation


def json_of(schema: Schema) -> dict[str, Schema]:
    """The content of an answer in JSON alone."""
    return {"application/json": schema}


def json_body(schema: Schema) -> Schema:
    """The body that an operation takes in JSON alone."""
    return {"required": True, "content": {"application/json": {"schema": schema}}}


WORD = {"type": "string", "pattern": "^[A-Za-z0-9_.~-]{1,200}$"}  # nothing else is ever a name or number here


def in_path(name: str, schema: Schema = WORD) -> Schema:
    """A parameter that is part of the address."""
    return {"name": name, "in": "path", "required": True, "schema": schema}


def in_query(name: str, schema: Schema, help: str = "") -> Schema:
    """A parameter behind the question mark."""
    return {"name": name, "in": "query", "schema": schema, **({"description": help} if help else {})}


def pages_in_query(most: int, per_page: int, per_page_most: int) -> list[Schema]:
    """The parameters of a list that is answered page by page."""
    whole = {"type": "integer", "minimum": 1}
    return [
        in_query("page", {**whole, "maximum": most, "default": 1}),
        in_query("per_page", {**whole, "maximum": per_page_most, "default": per_page}),
    ]


def ref(name: str) -> Schema:
    """A component's schema, by its name."""
    return {"$ref": REF.format(model=name)}


def problem_ref(status: int) -> Schema:
    """The component of the problems of this status."""
    return {"$ref": f"#/components/responses/Problem{status}"}
