"""The file as JSON Schema, so that an editor completes it and marks what is wrong while it is written.

It says less than `check-config`: nothing about names that must agree, expressions, zones or other files.
"""

import json
from datetime import timedelta
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from services.config.model import Config
from services.runtime.durations import format_duration

_HEAD = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": "urn:tocsin.yaml"}


class _AsWritten(GenerateJsonSchema):
    """Defaults as one would write them."""

    def encode_default(self, dft: Any) -> Any:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


def editor_schema() -> str:
    """The same models give the same text. The keys of a section are in the order in which one would write them."""
    schema = _HEAD | _tidy(Config.model_json_schema(schema_generator=_AsWritten))
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _tidy(value: Any) -> Any:
    """Without titles that only repeat a key, and every sentence on one line, as editors show it."""
    if isinstance(value, list):
        return [_tidy(each) for each in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _tidy(each) for name, each in value.items() if not (name == "title" and isinstance(each, str))}
    if isinstance(text := kept.get("description"), str):
        kept["description"] = "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))
    return kept
