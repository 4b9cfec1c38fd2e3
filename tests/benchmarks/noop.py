"""The limit: an application that reads the body and says yes, under the same server and settings as Tocsin."""

import asyncio
import sys

import uvloop
from starlette.types import Receive, Scope, Send

from services.runtime.lifecycle import WebServer, bind


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Reads the whole body and answers 200."""
    more = True
    while more:
        more = (await receive()).get("more_body", False)
    headers = [(b"content-type", b"application/json"), (b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"{}"})


async def serve(port: int) -> None:
    await WebServer(application, bind("127.0.0.1", port)).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1])))
