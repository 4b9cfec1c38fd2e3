"""A real PostgreSQL for the tests, from the machine's own binaries; or the one named by TOCSIN_TEST_POSTGRES.

TOCSIN_TEST_POSTGRES is the address of a server where databases may be created: postgresql://user:password@host:port
"""

import asyncio
import os
import shutil
import subprocess
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.support.processes import NotReady, free_port, scratch, unprivileged

ADDRESS = "TOCSIN_TEST_POSTGRES"


def _binaries() -> Path | None:
    """The folder with initdb and pg_ctl, of the newest version."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def unavailable() -> str | None:
    """What is missing, in words; None when a PostgreSQL can be had."""
    if os.environ.get(ADDRESS) or _binaries():
        return None
    return f"PostgreSQL needs its server's binaries (Debian: apt-get install postgresql), or the address of a server in {ADDRESS}"


class PostgresServer:
    """One server on 127.0.0.1 with its own data and real fsync, or the one of the environment (which cannot be crashed)."""

    def __init__(self, *, own: bool = False) -> None:
        self.own = own or not os.environ.get(ADDRESS)
        self._folder = scratch("postgres")
        self._port = free_port() if self.own else 0
        self._user = unprivileged()
        ours = f"postgresql://tocsin@127.0.0.1:{self._port}"
        self.address = ours if self.own else os.environ[ADDRESS]

    def start(self) -> None:
        if not self.own:
            return
        if not (self._folder / "data").is_dir():
            self._initialise()
        self._control("start")

    def stop(self) -> None:
        """End it and forget its data."""
        if self.own:
            self._control("stop", "-m", "immediate")
        shutil.rmtree(self._folder, ignore_errors=True)

    def crash(self) -> None:
        """End it as a power cut would, then start again on the same data."""
        self.down()
        self.up()

    def down(self) -> None:
        """End it as a power cut would; the data stay."""
        self._control("stop", "-m", "immediate")

    def up(self) -> None:
        """Start it again on the same data."""
        self._control("start")

    def create_database(self) -> str:
        """The URL, for SQLAlchemy with asyncpg, of a new and empty database."""
        name = f"t{uuid.uuid4().hex}"
        with ThreadPoolExecutor(max_workers=1) as pool:  # the caller may have a running loop
            pool.submit(asyncio.run, self._create(name)).result()
        return f"postgresql+asyncpg://{urlsplit(self.address).netloc}/{name}"

    async def _create(self, name: str) -> None:
        connection = await asyncpg.connect(f"{self.address}/postgres")
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        finally:
            await connection.close()

    def _initialise(self) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", str(self._folder / "data"), "-U", "tocsin", "-A", "trust", "-E", "UTF8", "--locale=C")
        settings = f"port={self._port}\nunix_socket_directories='{self._folder}'\n"
        settings += "listen_addresses='127.0.0.1'\nfsync=on\nmax_connections=200\n"
        with (self._folder / "data" / "postgresql.conf").open("a") as config:
            config.write(settings)

    def _control(self, *command: str) -> None:
        log = self._folder / "output.log"
        self._run("pg_ctl", "-D", str(self._folder / "data"), "-l", str(log), "-w", *command)

    def _run(self, program: str, *arguments: str) -> None:
        folder = _binaries()
        if folder is None:
            raise NotReady(unavailable() or "")
        # The server keeps its parent's output open; a pipe would never end, so the output goes to a file.
        with (self._folder / "control.log").open("ab") as output:
            command = [str(folder / program), *arguments]
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, user=self._user, cwd=self._folder
            )
            status = child.wait(90)
        if status != 0:
            raise NotReady((self._folder / "control.log").read_text(errors="replace")[-2_000:])
