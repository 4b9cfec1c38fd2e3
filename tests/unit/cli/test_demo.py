"""The demonstration plays to its end and leaves nothing behind."""

import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2

ROOT = Path(__file__).parents[3]
DEMO = (sys.executable, "-m", "services", "demo")


def environment(folder: Path) -> dict[str, str]:
    return os.environ | {"TMPDIR": str(folder), "COLUMNS": "100"}


def test_it_tells_the_whole_story_in_plain_text(tmp_path: Path) -> None:
    outcome = subprocess.run(DEMO, capture_output=True, text=True, timeout=90, check=False, cwd=ROOT, env=environment(tmp_path))
    assert (outcome.returncode, outcome.stderr) == (0, "")
    told = [
        *("recorded, nobody is disturbed", "INC-1 opens as S1", "joins INC-1", "note: Acknowledged", "update: Checkout fails"),
        *("1 alert over, 1 still firing", "Mitigation proposed", "joins INC-1 again", "Mitigation proposal withdrawn"),
        *("Mitigation proposed", "INC-1 is mitigated", "INC-1 is resolved", "The timeline of INC-1", "The messages"),
        "Where to go from here",
    ]
    at = 0
    for words in told:
        at = outcome.stdout.index(words, at) + 1
    assert "\x1b" not in outcome.stdout
    assert not [line for line in outcome.stdout.splitlines() if line != line.rstrip()]
    assert list(tmp_path.iterdir()) == []


def test_it_stays_when_asked_to_and_goes_by_ctrl_c(tmp_path: Path) -> None:
    master, terminal = pty.openpty()
    with subprocess.Popen([*DEMO, "--keep"], stdout=terminal, stderr=terminal, cwd=ROOT, env=environment(tmp_path)) as process:
        os.close(terminal)
        told = read_until(master, "Ctrl-C stops it")
        url = next(word for word in told.split() if word.startswith("http://127.0.0.1:"))
        token = next(word for word in told.split() if word.startswith("tocsin_"))
        assert "INC-1" in httpx2.get(url.strip(), auth=("ann", token)).text
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    os.close(master)
    assert list(tmp_path.iterdir()) == []


def read_until(terminal: int, words: str) -> str:
    """What the terminal shows, without colours, until these words."""
    seen, deadline = "", time.monotonic() + 90
    while words not in seen:
        assert time.monotonic() < deadline, seen
        seen += os.read(terminal, 4096).decode(errors="replace").replace("\x1b[1m", "").replace("\x1b[0m", "")
    return seen
