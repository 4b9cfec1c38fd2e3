"""A stand-in for Alertmanager that says what a test wants, however badly, on a local server of its own."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.builders import NOW

UP = datetime(2026, 11, 23, 1, tzinfo=UTC)

Respond = Callable[[BaseHTTPRequestHandler], None]


def answering(body: object, status: int = 200, **headers: str) -> Respond:
    """Answers with this body, JSON unless it is bytes."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(status)
        for name, value in {"content_length": str(len(raw)), **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(raw)

    return respond


def endless(piece: bytes, begin: bytes = b"[") -> Respond:
    """Goes on until nobody listens any more."""

    def respond(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response_only(200)
        handler.end_headers()
        handler.wfile.write(begin)
        while True:
            handler.wfile.write(piece)

    return respond


class Standin:
    """An Alertmanager that says what the test wants. `asked` are the paths, `logins` what was shown."""

    def __init__(self, *alerts: dict[str, Any]) -> None:
        self.routes: dict[str, Respond] = {
            "/api/v2/alerts": answering(list(alerts)),
            "/api/v2/silences": answering([]),
            "/api/v2/status": answering({"uptime": UP.isoformat(), "versionInfo": {"version": "0.25.0"}}),
        }
        self.asked: list[str] = []
        self.logins: list[str | None] = []

    @contextmanager
    def serving(self) -> Iterator[str]:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                standin.asked.append(self.path)
                standin.logins.append(self.headers["authorization"])
                try:
                    standin.routes.get(self.path.partition("?")[0], answering(b"", 404))(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, format: str, *args: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()


def an_item(fingerprint: str, name: str = "ErrorRateHigh", **status: Any) -> dict[str, Any]:
    return {
        "fingerprint": fingerprint, "labels": {"alertname": name}, "annotations": {}, "receivers": [{"name": "tocsin"}],
        "startsAt": NOW.isoformat(), "updatedAt": NOW.isoformat(), "endsAt": (NOW + timedelta(minutes=4)).isoformat(),
        "status": {"state": "active", "silencedBy": [], "inhibitedBy": [], **status},
    }  # fmt: skip
