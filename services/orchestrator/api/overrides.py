"""Everything that can be done by hand."""

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse

from services.orchestrator.api import bodies
from services.orchestrator.api.asking import Caller, caller, canonical, respond
from services.orchestrator.domain.incident import commands as ask
from services.orchestrator.domain.incident.transitions import Step
from services.orchestrator.handlers.commands import Commands
from services.runtime.auth import Grants
from services.runtime.web import require


def routes(commands: Commands, grants: Grants) -> APIRouter:
    """Each needs the scope `respond` and answers with the incident as it then is."""
    router = APIRouter(prefix="/api/v1/incidents", tags=["overrides"])
    enter = caller(require(grants, "respond"))

    @router.post("", status_code=201)
    async def declare(body: bodies.Declare, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        def command(name: str, uuid: str) -> ask.Open:
            return ask.Open(name, uuid, body.title, body.severity, tuple(body.services), drill=body.drill)

        return respond(await commands.declare(by.wish(body, body.reason), command), 201)

    @router.put("/{name}/severity")
    async def severity(name: str, body: bodies.SeverityBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        command = ask.SetSeverity(body.severity, body.pin)
        return respond(await commands.execute(canonical(name), command, by.wish(body, body.reason)))

    @router.delete("/{name}/severity-pin")
    async def unpin(name: str, by: Annotated[Caller, Depends(enter)], body: bodies.Reason | None = None) -> JSONResponse:
        body = body or bodies.Reason(reason="unpinned by hand")
        return respond(await commands.execute(canonical(name), ask.Unpin(), by.wish(body, body.reason)))

    @router.put("/{name}/public-state")
    async def public_state(name: str, body: bodies.PublicStateBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        command = ask.SetPublicState(body.state)
        return respond(await commands.execute(canonical(name), command, by.wish(body, body.reason)))

    @router.post("/{name}/updates")
    async def update(name: str, body: bodies.UpdateBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        command = ask.PostUpdate(body.text, body.next_in)
        return respond(await commands.execute(canonical(name), command, by.wish(body, "update")))

    @router.post("/{name}/notes")
    async def note(name: str, body: bodies.NoteBody, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        return respond(await commands.execute(canonical(name), ask.AddNote(body.text), by.wish(body, "note")))

    for step in (Step.MITIGATE, Step.RESOLVE, Step.REOPEN, Step.DISMISS, Step.PROMOTE):
        _add_step(router, commands, enter, step)
    return router


def _add_step(router: APIRouter, commands: Commands, enter: object, step: Step) -> None:
    async def move(name: str, body: bodies.Reason, by: Annotated[Caller, Depends(enter)]) -> JSONResponse:
        return respond(await commands.execute(canonical(name), ask.Move(step), by.wish(body, body.reason)))

    router.add_api_route(f"/{{name}}/{step}", move, methods=["POST"], name=step, summary=step.capitalize())
