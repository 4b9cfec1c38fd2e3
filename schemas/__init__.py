"""The contract: everything that crosses a service border.

Only pydantic is needed here and nothing of ours is imported. Rules of change: readers ignore unknown fields, so an
optional field may be added at any time; whatever would break a reader of yesterday is a new version in the event's
type (`….v2`) and both are published until the last reader has moved. `schemas/jsonschema/` holds the exported form;
a test fails when it is stale or when a change would break a reader.
"""
