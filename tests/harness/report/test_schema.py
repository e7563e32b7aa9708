"""The types of a report and the published schema: two descriptions of one shape."""

import json
from collections.abc import Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Literal, Union, get_args, get_origin, get_type_hints, is_typeddict

import pytest

from ladder.declare.criteria import Above, Agrees, Below, Falls
from ladder.diagnose import diagnosis
from ladder.evidence.fingerprint import Fingerprint
from ladder.report import schema

PUBLISHED = json.loads(schema.SCHEMA.read_text(encoding="utf-8"))
NAMES = {str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null"}


def types(annotation, path="report"):
    """Yield a line for every field below an annotation, with its type: ``report.rungs[].seconds: null``."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is object:
        yield f"{path}: anything"
    elif annotation in NAMES:
        yield f"{path}: {NAMES[annotation]}"
    elif is_typeddict(annotation):
        hints, required = get_type_hints(annotation), annotation.__required_keys__
        yield f"{path}: {fields_line(hints, required)}"
        for name, hint in hints.items():
            yield from types(hint, f"{path}.{name}")
    elif origin is Literal:
        yield f"{path}: one of {sorted(arguments)}"
    elif origin in (Union, UnionType):
        for each in arguments:
            yield from types(each, path)
    elif origin is list:
        yield from types(arguments[0], f"{path}[]")
    elif origin is tuple:
        for index, each in enumerate(arguments):
            yield from types(each, f"{path}[{index}]")
    else:
        assert origin in (dict, Mapping), f"{path}: {annotation}"
        yield from types(arguments[1], f"{path}.*")


def published(part, path="report"):
    """Yield the same lines for a part of the JSON Schema; patterns, bounds and descriptions are left out."""
    if part is True:
        yield f"{path}: anything"
    elif "$ref" in part:
        yield from published(PUBLISHED["$defs"][part["$ref"].removeprefix("#/$defs/")], path)
    elif "const" in part or "enum" in part:
        yield f"{path}: one of {sorted(part.get('enum', [part.get('const')]))}"
    elif "oneOf" in part:
        for each in part["oneOf"]:
            yield from published(each, path)
    elif isinstance(part["type"], list):
        for each in part["type"]:
            yield from published(part | {"type": each}, path)
    elif part["type"] == "array" and "minItems" in part:
        assert part["minItems"] == part["maxItems"], path
        for index, each in enumerate(part.get("prefixItems", [part.get("items")] * part["minItems"])):
            yield from published(each, f"{path}[{index}]")
    elif part["type"] == "array":
        yield from published(part["items"], f"{path}[]")
    elif "properties" in part:
        assert part.get("additionalProperties") is False, path
        yield f"{path}: {fields_line(part['properties'], part['required'])}"
        for name, each in part["properties"].items():
            yield from published(each, f"{path}.{name}")
    elif part["type"] == "object":
        yield from published(part.get("additionalProperties", True), f"{path}.*")
    else:
        yield f"{path}: {part['type']}"


def fields_line(names, required):
    return f"{', '.join(sorted(names))}; required: {', '.join(sorted(required))}"


def test_types_and_schema():
    """The types have the fields of the published schema, of the same types, required and nullable alike."""
    assert sorted(types(schema.Document)) == sorted(published(PUBLISHED))


@pytest.mark.parametrize("name", ["Diagnosis", "Finding", "Stage", "Scale", "Group", "Latent"])
def test_diagnosis_types(name):
    """A diagnosis in a report has the fields of the diagnosis that was made, for it is copied field by field."""
    made = [field.name for field in fields(getattr(diagnosis, name))]
    assert list(getattr(schema, name).__annotations__) == made


def test_names_in_enumerations():
    """The names that the harness gives to kinds of criteria and to parts of a fingerprint are those that a report may have."""
    assert set(get_args(schema.CriterionKind)) == {"other", *(each.kind for each in (Below, Above, Falls, Agrees))}
    assert set(get_args(schema.Stale)) == {"missing", *(field.name for field in fields(Fingerprint))}
