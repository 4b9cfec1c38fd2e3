"""A real Alertmanager for the tests: the one on the PATH, else the distribution's package unpacked beside the jars."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import httpx2

from tests.support.debian import Program
from tests.support.processes import Child, free_port, scratch

Labels = Mapping[str, str]

PROGRAM = Program(("prometheus-alertmanager", "alertmanager"), "prometheus-alertmanager")
unavailable = PROGRAM.unavailable


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
            PROGRAM.path or "alertmanager",
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
