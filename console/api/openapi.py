"""The OpenAPI 3.1 document, made from the operations and their models: it can't say anything that isn't so.

`.venv/bin/python -m console.api` writes it to docs/contracts/openapi.json, or to the file that it is given.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from console.api import models

VERSION: Final = "1.0.0"
FILE: Final = Path(__file__).parents[2] / "docs" / "contracts" / "openapi.json"
_EVERYWHERE: Final = (429,)  # whatever was asked: too many wrong tokens have come from there
_REFERENCE: Final = "#/components/schemas/{model}"

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Operation:
    """A GET below /api/v1; `path_parameters` are name to schema, `statuses` what it may answer beside 200."""

    path: str
    name: str
    summary: str
    query: type[BaseModel]
    answer: type[BaseModel]
    handler: Callable[[Any, Mapping[str, str]], Awaitable[BaseModel]]
    path_parameters: Mapping[str, Schema] = field(default_factory=dict)
    statuses: tuple[int, ...] = (400, 401, 403, 503)


def document(operations: Sequence[Operation]) -> Schema:
    """The document as JSON values."""
    asked: list[tuple[type[BaseModel], JsonSchemaMode]] = [(one.query, "validation") for one in operations]
    told: list[tuple[type[BaseModel], JsonSchemaMode]] = [(one.answer, "serialization") for one in operations]
    _, definitions = models_json_schema([*asked, *told, (models.Wrong, "serialization")], ref_template=_REFERENCE)
    schemas: Schema = definitions["$defs"]
    queries = {model.__name__ for model, _ in asked}
    parameters = {name: schemas.pop(name).get("properties", {}) for name in queries}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Tillstream's console",
            "version": VERSION,
            "description": "Every number that a page of the console shows. Money is exact decimal text in major units, "
            "times are RFC 3339 in UTC, days are those of the account.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"token": []}],
        "paths": {one.path: {"get": _operation(one, parameters[one.query.__name__])} for one in operations},
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "TILLSTREAM_CONSOLE_TOKEN or TILLSTREAM_CONSOLE_READ_TOKEN, where one is set",
                }
            },
        },
    }


def _operation(one: Operation, parameters: Schema) -> Schema:
    wrong = {"content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model="Wrong")}}}}
    return {
        "operationId": one.name,
        "summary": one.summary,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": schema}
                for name, schema in one.path_parameters.items()
            ),
            *(_parameter(name, schema) for name, schema in parameters.items()),
        ],
        "responses": {
            "200": {
                "description": (one.answer.__doc__ or "").strip(),
                "content": {"application/json": {"schema": {"$ref": _REFERENCE.format(model=one.answer.__name__)}}},
            },
            **{
                str(status): {"description": HTTPStatus(status).phrase, **wrong}
                for status in sorted({*one.statuses, *_EVERYWHERE})
            },
        },
    }


def _parameter(name: str, schema: Schema) -> Schema:
    """One of the query; the schema's words become the parameter's."""
    required = "default" not in schema
    inner = {key: value for key, value in schema.items() if key not in ("title", "description")}
    if "anyOf" in inner:  # "or null" is how a parameter that may be missing is modelled
        inner = inner["anyOf"][0]
    told = {"description": schema["description"]} if "description" in schema else {}
    return {"name": name, "in": "query", "required": required, **told, "schema": inner}


def text(operations: Sequence[Operation]) -> str:
    """The document as it is committed."""
    return json.dumps(document(operations), indent=2, ensure_ascii=False, sort_keys=True) + "\n"
