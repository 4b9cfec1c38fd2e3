"""A real Kafka of one node for the tests, from the jars that Maven gets; or the one named by TOCSIN_TEST_KAFKA."""

import os
import shutil
import signal
import subprocess
import tempfile
import uuid
from functools import cache
from pathlib import Path

from tests.support.processes import Child, NotReady, free_port, listens, scratch

VERSION = "4.1.0"
ADDRESS = "TOCSIN_TEST_KAFKA"
_CACHE = Path(__file__).parents[2] / ".cache"
_JARS = _CACHE / f"kafka-{VERSION}"

_POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion><groupId>tocsin</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"""

# The broker is fenced and unfenced within seconds after a kill -9, groups balance at once, and a single node needs no replicas.
_PROPERTIES = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
auto.create.topics.enable=false
num.partitions=4
"""


@cache
def unavailable() -> str | None:
    """What is missing, in words; None when a Kafka can be had. May download once."""
    if os.environ.get(ADDRESS):
        return None
    if shutil.which("java") is None:
        return f"Kafka needs a Java of version 17 or newer on the PATH, or the address of a broker in {ADDRESS}"
    if _JARS.is_dir():
        return None
    if shutil.which("mvn") is None:
        return f"getting Kafka needs Maven (mvn) on the PATH, or the address of a broker in {ADDRESS}"
    return _download()


def _download() -> str | None:
    """Get the jars into a folder beside and rename it at the end, so that neither an abort nor a parallel run does harm."""
    _CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE, prefix="kafka-download-") as folder:
        (Path(folder) / "pom.xml").write_text(_POM)
        jars = Path(folder) / "jars"
        command = ["mvn", "-q", "-B", "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        result = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=900, check=False)
        if result.returncode != 0:
            return f"Maven could not get Kafka {VERSION}: {(result.stdout + result.stderr)[-500:]}"
        try:
            jars.rename(_JARS)
        except OSError:
            if not _JARS.is_dir():
                raise
    return None


class KafkaServer:
    """One broker on 127.0.0.1 with its own data, or the one of the environment (which then cannot be killed)."""

    def __init__(self, *, own: bool = False) -> None:
        self.own = own or not os.environ.get(ADDRESS)
        self._folder = scratch("kafka")
        self._port = free_port() if self.own else 0
        self.address = f"127.0.0.1:{self._port}" if self.own else os.environ[ADDRESS]
        self._child = Child([*self._java("kafka.Kafka"), str(self._folder / "server.properties")], self._folder)

    def start(self) -> None:
        if not self.own:
            return
        if not (self._folder / "data").is_dir():
            self._format()
        self._child.start()
        self._child.wait_ready(lambda: listens(self._port))

    def stop(self) -> None:
        """End it and forget its data."""
        self._child.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def kill9(self) -> None:
        self._child.kill9()

    def restart(self) -> None:
        """Start again on the same data and port."""
        self.kill9()
        self.start()

    def sigstop(self) -> None:
        """Freeze it: connections stay open, nothing answers."""
        self._child.signal(signal.SIGSTOP)

    def sigcont(self) -> None:
        self._child.signal(signal.SIGCONT)

    def _format(self) -> None:
        settings = self._folder / "server.properties"
        settings.write_text(_PROPERTIES.format(port=self._port, controller=free_port(), folder=self._folder))
        command = [*self._java("kafka.tools.StorageTool"), "format", "-t", str(uuid.uuid4()), "-c", str(settings)]
        result = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if result.returncode != 0:
            raise NotReady(result.stdout + result.stderr)

    def _java(self, main: str) -> list[str]:
        options = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dkafka.logs.dir={self._folder}"]
        return ["java", *options, "-cp", f"{_JARS}/*", main]
