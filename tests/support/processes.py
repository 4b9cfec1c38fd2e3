"""Child processes of the tests: free ports, start, wait until ready, kill; their output goes to a file in a temporary folder."""

import atexit
import os
import pwd
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


class NotReady(Exception):
    """The process ended or did not become ready in time; carries the end of its output."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(port: int) -> bool:
    """Whether somebody accepts connections on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def scratch(name: str) -> Path:
    """A new temporary folder."""
    return Path(tempfile.mkdtemp(prefix=f"tocsin-{name}-"))


def unprivileged() -> str | None:
    """The user for programs that refuse to run as root; None when this process is not root."""
    if os.getuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


class Child:
    """One child process. It ends at the latest with this process; nothing else is ever signalled."""

    def __init__(
        self, command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None, user: str | None = None
    ) -> None:
        self.output = folder / "output.log"
        self._command = list(command)
        self._env = {**os.environ, **(env or {})}
        self._folder = folder
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        atexit.register(self.kill9)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._folder,
                env=self._env,
                user=self._user,
            )

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 60.0) -> None:
        """Return when `ready` says so; raise `NotReady` when the process ends or the time is over."""
        deadline = time.monotonic() + seconds
        while not ready():
            if not self.alive() or time.monotonic() > deadline:
                tail = self.output.read_text(errors="replace")[-2_000:]
                raise NotReady(f"{self._command[0]} is not ready (exit status {self.status()}):\n{tail}")
            time.sleep(0.05)

    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def status(self) -> int | None:
        """The exit status; negative for a signal; None while it runs or was never started."""
        return self._process.poll() if self._process else None

    def wait(self, seconds: float = 10.0) -> int:
        """The exit status, once it has ended by itself."""
        assert self._process is not None
        return self._process.wait(seconds)

    def signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def kill9(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait(10)

    def stop(self, seconds: float = 10.0) -> None:
        """SIGTERM, and SIGKILL when that does not help in time."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            if self._process is not None:
                self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill9()
