"""What the fixed answers of REST look like: one class says it to mypy, where the answer is made, and to OpenAPI.

Such a class is a TypedDict called `...Answer`; its component in the document is called the same without that word.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict

from hub.describe import StateCode

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"

Count = Annotated[int, Field(ge=0)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]  # ISO 8601, UTC
Address = Annotated[str, Field(json_schema_extra={"format": "uri-reference"})]
ResultId = Annotated[str, Field(pattern="^[0-9a-f]{32}$", description="Names the result; the same run, the same id")]


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


def schema_of(shape: Any) -> Schema:
    """The schema of a value that is no component."""
    return TypeAdapter(shape).json_schema(ref_template=REF, schema_generator=_Generator)


def components(*answers: type) -> dict[str, Schema]:
    """The components of these classes, and of those that they are made of, by name."""
    wanted: list[tuple[str, Any, TypeAdapter[Any]]] = [(a.__name__, "validation", TypeAdapter(a)) for a in answers]
    _, found = TypeAdapter.json_schemas(wanted, ref_template=REF, schema_generator=_Generator)
    return dict(found["$defs"])


class _Generator(GenerateJsonSchema):
    """Schemas as short as written by hand: without titles, which would only say the names again."""

    def normalize_name(self, name: str) -> str:
        return super().normalize_name(name).removesuffix("Answer")

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def typed_dict_schema(self, schema: core_schema.TypedDictSchema) -> JsonSchemaValue:
        found = super().typed_dict_schema(schema)
        found.pop("title", None)
        return found

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        found = super().dict_schema(schema)
        if found.get("additionalProperties") is True:  # which is so where nothing is said
            del found["additionalProperties"]
        return found

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        inner = self.generate_inner(schema["schema"])
        if isinstance(inner.get("type"), str):
            return {**inner, "type": [inner["type"], "null"]}
        return super().nullable_schema(schema)
