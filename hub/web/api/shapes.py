"""What the fixed answers of REST look like: one class says it to mypy, where the answer is made, and to OpenAPI.

Such a class is a TypedDict called `...Answer`; its component in the document is called the same without that word.
"""

from __future__ import annotations

from typing import Annotated, Any, NotRequired

from pydantic import Field, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema
from typing_extensions import TypedDict

Schema = dict[str, Any]
REF = "#/components/schemas/{model}"

Count = Annotated[int, Field(ge=0)]
Instant = Annotated[str, Field(json_schema_extra={"format": "date-time"})]  # ISO 8601, UTC


class Steps(TypedDict):
    """How far a run is, where its demo tells."""

    step: Count
    total: Count
    left_s: NotRequired[float]


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
