"""HTTP for all services: problem+json, the operator's endpoints, and the door that checks tokens."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CollectorRegistry
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Receive, Scope, Send

from services.runtime.auth import Grant, Grants, identify
from services.runtime.errors import ConfigError, Unavailable
from services.runtime.metrics import render

MAX_BODY = 1024 * 1024
MAX_ERRORS = 100
"""Places named in one answer."""

_CODES = {400: "invalid", 404: "not_found", 405: "method_not_allowed", 413: "too_large"}


class Problem(Exception):
    """An answer that is not what was hoped for, in the form of RFC 9457."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.errors, self.headers = errors or [], headers or {}

    def body(self) -> dict[str, Any]:
        title = self.code.replace("_", " ").capitalize()
        answer: dict[str, Any] = {"type": f"urn:tocsin:{self.code}", "title": title, "status": self.status}
        return answer | {"detail": self.detail, "code": self.code, "errors": self.errors}

    def response(self) -> Response:
        return JSONResponse(self.body(), self.status, self.headers, media_type="application/problem+json")


def unauthorized() -> Problem:
    """No token, or one that nobody knows. Browsers ask for a password only when Basic is the one challenge of the header."""
    headers = {"WWW-Authenticate": 'Basic realm="tocsin", charset="UTF-8"'}
    return Problem(
        401, "unauthorized", "A token is needed: Authorization: Bearer … (or Basic, with it as password).", headers=headers
    )


def forbidden(scope: str) -> Problem:
    """A known token without the scope that is needed."""
    return Problem(403, "forbidden", f"This token has no scope {scope!r}.")


def unavailable(detail: str) -> Problem:
    """A part we stand on is away; the caller should try again soon."""
    return Problem(503, "unavailable", detail, headers={"Retry-After": "5"})


class Bounded:
    """Refuses in our own words what says itself that it is too large; the framework counts the bytes of the rest."""

    def __init__(self, application: ASGIApp) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        declared = Headers(scope=scope).get("content-length", "") if scope["type"] == "http" else ""
        if declared.isdecimal() and (len(declared) > 15 or int(declared) > MAX_BODY):
            return Problem(413, "too_large", f"The body has more than {MAX_BODY:,} bytes.").response()
        return self._application


OPEN_PATHS = ("/-/healthy", "/-/ready", "/metrics", "/status", "/webhooks/")
"""What answers without a token; webhooks check their sender's own signature or token."""


class Guarded:
    """Lets nobody without a known token further, whatever they ask for and however broken it is."""

    def __init__(self, application: ASGIApp, grants: Grants) -> None:
        self._application, self._grants = application, grants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._choose(scope)(scope, receive, send)

    def _choose(self, scope: Scope) -> ASGIApp:
        if scope["type"] != "http" or scope["path"].startswith(OPEN_PATHS):
            return self._application
        known = identify(Headers(scope=scope).get("authorization"), self._grants())
        return self._application if known else unauthorized().response()


def require(grants: Grants, scope: str) -> Callable[[Request], Grant]:
    """A dependency that lets only tokens with the scope in and tells who is calling."""

    def door(request: Request) -> Grant:
        grant = identify(request.headers.get("authorization"), grants())
        if grant is None:
            raise unauthorized()
        if not grant.allows(scope):
            raise forbidden(scope)
        return grant

    return door


@dataclass
class Operations:
    """What the operator's endpoints show and do. `readiness` lists what keeps the process from being ready, in words."""

    registry: CollectorRegistry
    readiness: Callable[[], list[str]]
    reload: Callable[[], Awaitable[None]]
    grants: Grants
    routers: list[APIRouter] = field(default_factory=list)


def new_web(title: str, operations: Operations) -> FastAPI:
    """The application of one process with all its routers."""
    web = FastAPI(title=title, docs_url=None, redoc_url=None, openapi_url=None, max_body_size=MAX_BODY)
    _render_errors(web)
    web.include_router(_operator_routes(operations))
    for router in operations.routers:
        web.include_router(router)
    _documentation(web, operations.grants)
    return web


def _operator_routes(operations: Operations) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.api_route("/-/healthy", methods=["GET", "HEAD"])
    async def healthy() -> PlainTextResponse:
        return PlainTextResponse("Tocsin is alive.\n")

    @router.api_route("/-/ready", methods=["GET", "HEAD"])
    async def ready() -> PlainTextResponse:
        missing = operations.readiness()
        text = "".join(f"{line}\n" for line in missing) or "Tocsin is ready.\n"
        return PlainTextResponse(text, 503 if missing else 200)

    @router.post("/-/reload")
    async def reload(request: Request) -> PlainTextResponse:
        require(operations.grants, "admin")(request)
        try:
            await operations.reload()
        except ConfigError as error:
            return PlainTextResponse(f"{error}\n", 500)
        return PlainTextResponse("Reloaded.\n")

    @router.get("/metrics")
    async def metrics(request: Request) -> Response:
        body, content_type = render(operations.registry, request.headers.get("accept", ""))
        return Response(body, headers={"Content-Type": content_type})

    return router


def _documentation(web: FastAPI, grants: Grants) -> None:
    @web.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> JSONResponse:
        require(grants, "read")(request)
        return JSONResponse(web.openapi())


def _render_errors(web: FastAPI) -> None:
    @web.exception_handler(Problem)
    async def problem(_: Request, error: Problem) -> Response:
        return error.response()

    @web.exception_handler(Unavailable)
    async def away(_: Request, error: Unavailable) -> Response:
        return unavailable(error.detail).response()

    @web.exception_handler(HTTPException)
    async def http(_: Request, error: HTTPException) -> Response:
        code = _CODES.get(error.status_code, "http_error")
        return Problem(error.status_code, code, str(error.detail), headers=dict(error.headers or {})).response()

    @web.exception_handler(RequestValidationError)
    async def shape(_: Request, error: RequestValidationError) -> Response:
        errors = [_shape_error(dict(detail)) for detail in error.errors()[:MAX_ERRORS]]
        return Problem(400, "invalid", "The request does not have the expected shape.", errors=errors).response()


def _shape_error(detail: dict[str, Any]) -> dict[str, Any]:
    place = detail["loc"][1:] if detail["loc"][0] == "body" else detail["loc"]
    if detail["type"] == "json_invalid":
        message = f"not JSON: {detail['ctx']['error']} at character {place[0]}"
        return {"pointer": "", "message": message, "expected": "a JSON object"}
    expected = detail.get("ctx", {}).get("expected")
    answer = {"pointer": "".join(map(_step, place)), "message": str(detail["msg"]).removeprefix("Value error, ")}
    return answer | ({"expected": str(expected)} if expected else {})


def _step(part: object) -> str:
    """One step of a JSON pointer; names come from outside, so they are shortened."""
    return "/" + str(part)[:100].replace("~", "~0").replace("/", "~1")
