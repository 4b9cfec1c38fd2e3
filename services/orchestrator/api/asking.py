"""What every request of the API brings with it: who asks, under which key, on which state; and how an answer looks."""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse

from schemas.ids import incident_id, incident_number
from schemas.incidents import Actor
from schemas.vocabulary import ActorKind
from services.orchestrator.api.bodies import Body
from services.orchestrator.domain.incident.incident import Refusal
from services.orchestrator.handlers.commands import Answer, etag
from services.orchestrator.handlers.commands import Request as Wish
from services.runtime.auth import Grant
from services.runtime.web import Problem

_STATUS = {"not_found": 404, "precondition_failed": 412}
"""All other refusals are 409."""


@dataclass(frozen=True)
class Caller:
    """The one who asks."""

    grant: Grant
    request: Request

    def wish(self, body: Body, reason: str) -> Wish:
        """The request as the use case takes it."""
        key = self.request.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= 255:
            raise Problem(400, "invalid", "Idempotency-Key: expected 1 to 255 characters.")
        said = json.dumps([self.request.method, self.request.url.path, jsonable_encoder(body)], sort_keys=True)
        return Wish(
            actor=Actor(kind=ActorKind.PERSON, name=self._actor()),
            reason=reason,
            key=key,
            digest=hashlib.sha256(said.encode()).hexdigest(),
            if_match=self.request.headers.get("if-match"),
        )

    def _actor(self) -> str:
        named = self.request.headers.get("x-tocsin-actor")
        if named is None:
            return self.grant.actor
        if not self.grant.allows("admin"):
            raise Problem(403, "forbidden", "X-Tocsin-Actor needs the scope 'admin'.")
        if not named.strip():
            raise Problem(400, "invalid", "X-Tocsin-Actor: expected a name.")
        return named.strip()[:255]


def caller(door: Callable[[Request], Grant]) -> Callable[[Request], Caller]:
    """A dependency: the caller, once the door has let them in."""

    def enter(request: Request) -> Caller:
        return Caller(door(request), request)

    return enter


def canonical(name: str) -> str:
    """`inc-42`, `INC-42` or `42` as the incident's id; 404 when it can be none."""
    number = incident_number(name if not name.isdecimal() else f"INC-{name.lstrip('0')}")
    if number is None:
        raise Problem(404, "not_found", f"{name[:100]!r} is no incident; expected one like INC-42.")
    return incident_id(number)


def refused(refusal: Refusal) -> Problem:
    """A refusal as HTTP tells it."""
    return Problem(_STATUS.get(refusal.code, 409), refusal.code, refusal.detail)


def respond(answer: Answer | Refusal, status: int = 200) -> JSONResponse:
    """The incident, or a problem in words."""
    if isinstance(answer, Refusal):
        raise refused(answer)
    headers = {"ETag": etag(answer.incident), "Location": f"/api/v1/incidents/{answer.incident.id}"}
    if answer.repeated:
        headers["Idempotency-Replayed"] = "true"
    return JSONResponse(answer.incident.model_dump(mode="json"), status, headers)


def before_cursor(cursor: str | None) -> int | None:
    """The number behind a list's cursor."""
    if cursor is None:
        return None
    if not cursor.isdecimal() or len(cursor) > 18:
        raise Problem(400, "invalid", "cursor: expected the `next` of an earlier answer.")
    return int(cursor)


def listing(items: list[dict[str, Any]], limit: int, cursor_of: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """A page of a list that was asked for one item more than `limit`."""
    page = items[:limit]
    return {"items": page, "next": str(cursor_of(page[-1])) if len(items) > limit else None}
