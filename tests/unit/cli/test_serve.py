"""`tocsin serve` as a process: it says when it is ready, and in words why it cannot start."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from services.cli.serve import address
from services.process import storage_lock
from tests.support.processes import Child, free_port
from tests.unit.cli.conftest import Tocsin

TOCSIN = (sys.executable, "-m", "services")
ROOT = Path(__file__).parents[3]


def serve(folder: Path, *args: str) -> list[str]:
    return [*TOCSIN, "serve", "--storage.path", str(folder / "data"), *args]


def refused(folder: Path, *args: str) -> str:
    """What is said on standard error by a Tocsin that cannot start."""
    outcome = subprocess.run(serve(folder, *args), capture_output=True, text=True, timeout=30, check=False, cwd=ROOT)
    assert (outcome.returncode, outcome.stdout) == (1, "")
    assert "Traceback" not in outcome.stderr
    return outcome.stderr


@pytest.fixture
def child(tmp_path: Path) -> Iterator[Callable[..., Child]]:
    """Starts `tocsin serve` and waits until it says that it is ready."""
    children: list[Child] = []

    def start(*args: str) -> Child:
        one = Child(serve(tmp_path, *args), tmp_path, {"PYTHONPATH": str(ROOT)})
        children.append(one)
        one.start()
        one.wait_ready(lambda: "ready" in one.output.read_text())
        return one

    yield start
    for one in children:
        one.stop()


def test_it_says_in_one_line_that_it_is_ready_and_ends_in_order(child: Callable[..., Child], tmp_path: Path) -> None:
    port = free_port()
    one = child("--web.listen-address", f"127.0.0.1:{port}", "--log.level", "error")
    (line,) = one.output.read_text().splitlines()
    said = dict(word.split("=", 1) for word in line.split())
    assert said == {
        "event": "ready",
        "url": f"http://127.0.0.1:{port}",
        "targets": "ingest,orchestrator,notifier",
        "board": f"http://127.0.0.1:{port}/",
        "admin_token": str(tmp_path / "data" / "admin-token"),
        "state": str(tmp_path / "data"),
    }
    token = (tmp_path / "data" / "admin-token").read_text().strip()
    assert httpx2.get(said["board"], auth=("anybody", token)).status_code == 200
    one.stop()
    assert one.status() == 0


def test_for_programs_it_says_so_in_json(child: Callable[..., Child]) -> None:
    one = child("--web.listen-address", "127.0.0.1:0", "--log.format", "json", "--log.level", "error")
    said = json.loads(one.output.read_text())
    assert said["event"] == "ready"
    assert not said["url"].endswith(":0")


def test_an_address_in_use_is_said_in_words(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        said = refused(tmp_path, "--web.listen-address", f"127.0.0.1:{taken.getsockname()[1]}")
    assert "cannot listen on 127.0.0.1" in said
    assert "--web.listen-address" in said


def test_a_broken_configuration_is_said_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "tocsin.yaml").write_text("timers: {quiet: 1m}\n")
    said = refused(tmp_path, "--config.file", str(tmp_path / "tocsin.yaml"), "--web.listen-address", "127.0.0.1:0")
    assert "tocsin.yaml:1:10: timers.quiet: unknown key" in said


def test_a_storage_in_use_is_said_in_words(tmp_path: Path) -> None:
    with storage_lock(tmp_path / "data"):
        said = refused(tmp_path, "--web.listen-address", "127.0.0.1:0")
    assert "is in use by another Tocsin (process" in said


def test_a_storage_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    assert "error: cannot start: " in refused(tmp_path, "--web.listen-address", "127.0.0.1:0")


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["notifier"], "TOCSIN_KAFKA"),
        (["--kafka", "127.0.0.1:1"], "go together"),
        (["--kafka", "127.0.0.1:1", "--database", "mysql://x"], "expected an address like postgresql://"),
    ],
)
def test_what_does_not_go_together_is_said_in_words(tocsin: Tocsin, tmp_path: Path, args: list[str], word: str) -> None:
    outcome = tocsin("serve", "--storage.path", str(tmp_path), "--web.listen-address", "127.0.0.1:0", *args)
    assert outcome.status == 1
    assert word in outcome.err


@pytest.mark.parametrize(
    ("listen", "expected"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), (":80", ("0.0.0.0", 80)), ("[::1]:80", ("::1", 80)), ("host:0", ("host", 0))],
)
def test_an_address_is_host_and_port(listen: str, expected: tuple[str, int]) -> None:
    assert address(listen) == expected
