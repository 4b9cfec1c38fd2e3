"""A real Alertmanager for the tests: the one on the PATH, else the distribution's package unpacked beside the jars."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import httpx2

from tests.support.processes import Child, free_port, scratch

_CACHE = Path(__file__).parents[2] / ".cache"
_PACKAGE = "prometheus-alertmanager"
_UNPACKED = _CACHE / "alertmanager"
Labels = Mapping[str, str]


def _binary() -> str | None:
    unpacked = _UNPACKED / "usr" / "bin" / _PACKAGE
    return shutil.which(_PACKAGE) or shutil.which("alertmanager") or (str(unpacked) if unpacked.is_file() else None)


@cache
def unavailable() -> str | None:
    """What is missing, in words; None when an Alertmanager can be had. May download once."""
    if _binary():
        return None
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return "Alertmanager needs its binary (alertmanager or prometheus-alertmanager) on the PATH"
    return _download()


def _download() -> str | None:
    """Unpack the package into a folder beside and rename it at the end, so that neither an abort nor a parallel run does harm."""
    _CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE, prefix="alertmanager-download-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if not _run(folder, "apt-get", "download", _PACKAGE):
            _run(folder, "apt-get", "update")
            if not _run(folder, "apt-get", "download", _PACKAGE):
                return f"apt-get could not download {_PACKAGE}; put an alertmanager on the PATH"
        package = next(folder.glob("*.deb"))
        if not _run(folder, "dpkg", "-x", str(package), str(folder / "unpacked")):
            return f"dpkg could not unpack {_PACKAGE}; put an alertmanager on the PATH"
        try:
            (folder / "unpacked").rename(_UNPACKED)
        except OSError:
            if not _UNPACKED.is_dir():
                raise
    return None


def _run(folder: Path, *command: str) -> bool:
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False).returncode == 0


class Alertmanager:
    """One Alertmanager on 127.0.0.1. `config` is its YAML; `peers` are others whose cluster it joins. One that is `alone` waits
    for no cluster before it notifies."""

    def __init__(self, config: str, peers: Sequence["Alertmanager"] = (), *, alone: bool = False) -> None:
        self._folder = scratch("alertmanager")
        self._port = free_port()
        self.cluster = f"127.0.0.1:{free_port()}"
        self.url = f"http://127.0.0.1:{self._port}"
        self.configure(config)
        command = [
            _binary() or "alertmanager",
            f"--config.file={self._folder}/alertmanager.yml",
            f"--storage.path={self._folder}/data",
            f"--web.listen-address=127.0.0.1:{self._port}",
            f"--cluster.listen-address={'' if alone else self.cluster}",
            "--cluster.advertise-address=" + self.cluster,
            *[f"--cluster.peer={peer.cluster}" for peer in peers],
        ]
        self._child = Child(command, self._folder)

    def configure(self, config: str) -> None:
        """Another configuration, for the next start."""
        (self._folder / "alertmanager.yml").write_text(config)

    def start(self) -> None:
        self._child.start()
        self._child.wait_ready(self._ready, 30)

    def stop(self) -> None:
        """End it and forget what it knew."""
        self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill9(self) -> None:
        self._child.kill9()

    def fire(
        self,
        labels: Labels,
        annotations: Labels | None = None,
        starts_at: datetime | None = None,
        ends_at: datetime | None = None,
    ) -> None:
        """Post one firing alert, as Prometheus does; without `ends_at` it resolves by itself after Alertmanager's timeout."""
        alert: dict[str, object] = {"labels": dict(labels), "annotations": dict(annotations or {})}
        alert["startsAt"] = (starts_at or datetime.now(UTC)).isoformat()
        if ends_at is not None:
            alert["endsAt"] = ends_at.isoformat()
        self._post(alert)

    def resolve(self, labels: Labels, annotations: Labels | None = None) -> None:
        """Post the alert's end."""
        ended = datetime.now(UTC) - timedelta(milliseconds=1)
        self._post({"labels": dict(labels), "annotations": dict(annotations or {}), "endsAt": ended.isoformat()})

    def silence(self, labels: Labels, by: str, comment: str, until: datetime) -> str:
        """Silence alerts with these labels; the silence's id."""
        matchers = [{"name": name, "value": value, "isRegex": False, "isEqual": True} for name, value in labels.items()]
        begins = datetime.now(UTC).isoformat()
        body = {"matchers": matchers, "createdBy": by, "comment": comment, "startsAt": begins, "endsAt": until.isoformat()}
        answer = httpx2.post(f"{self.url}/api/v2/silences", json=body).raise_for_status().json()
        return str(answer["silenceID"])

    def expire(self, silence: str) -> None:
        """End a silence now."""
        httpx2.delete(f"{self.url}/api/v2/silence/{silence}").raise_for_status()

    def alerts(self) -> list[dict[str, object]]:
        """What it holds now, by its own interface."""
        answer: list[dict[str, object]] = httpx2.get(f"{self.url}/api/v2/alerts").raise_for_status().json()
        return answer

    def _post(self, alert: Mapping[str, object]) -> None:
        httpx2.post(f"{self.url}/api/v2/alerts", json=[alert]).raise_for_status()

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/-/ready", timeout=2).status_code == 200
        except httpx2.TransportError:
            return False
