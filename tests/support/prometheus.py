"""A real Prometheus for the tests, with a past of its own and a small exporter that it scrapes."""

import shutil
import subprocess
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2

from tests.support.debian import Program
from tests.support.processes import Child, free_port, scratch

PROGRAM = Program(("prometheus",), "prometheus")
PROMTOOL = Program(("promtool",), "prometheus")

_CONFIG = """\
global: {{scrape_interval: 200ms}}
scrape_configs:
  - job_name: exporter
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


def unavailable() -> str | None:
    """What is missing, in words; None when a Prometheus can be had. May download once."""
    return PROGRAM.unavailable() or PROMTOOL.unavailable()


class Exporter:
    """Shows what it is told to, as text in Prometheus' format."""

    def __init__(self) -> None:
        self.text = ""
        exporter = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.end_headers()
                self.wfile.write(exporter.text.encode())

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


Past = Mapping[str, Sequence[tuple[datetime, float]]]


class Prometheus:
    """One Prometheus on 127.0.0.1. `past` are series that it has always known."""

    def __init__(self, past: Past) -> None:
        self._folder, self._port = scratch("prometheus"), free_port()
        self.exporter = Exporter()
        self.url = f"http://127.0.0.1:{self._port}"
        (self._folder / "prometheus.yml").write_text(_CONFIG.format(port=self.exporter.port))
        self._remember(past)
        command = [
            PROGRAM.path or "prometheus",
            f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
        ]
        self.child = Child(command, self._folder)

    def start(self) -> None:
        self.child.start()
        self.child.wait_ready(self._ready, 30)

    def stop(self) -> None:
        """End it and forget what it knew."""
        self.child.stop()
        self.exporter.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def scraped(self, query: str) -> bool:
        """Whether there is an answer to the query by now."""
        answer: dict[str, Any] = httpx2.get(f"{self.url}/api/v1/query", params={"query": query}).raise_for_status().json()
        return bool(answer["data"]["result"])

    def _remember(self, past: Past) -> None:
        lines = [f"{name} {value} {at.timestamp():.3f}" for name, samples in past.items() for at, value in samples]
        (self._folder / "past.txt").write_text("\n".join([*lines, "# EOF", ""]))
        command = [PROMTOOL.path or "promtool", "tsdb", "create-blocks-from", "openmetrics", "past.txt", "data"]
        subprocess.run(command, cwd=self._folder, capture_output=True, timeout=60, check=True)

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False
