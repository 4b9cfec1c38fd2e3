"""Programs of the distribution: the one on the PATH, else its package unpacked beside the other downloads."""

import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_CACHE = Path(__file__).parents[2] / ".cache"


@dataclass(frozen=True)
class Program:
    """`names` are what it may be called, `package` is what it comes in."""

    names: Sequence[str]
    package: str

    @property
    def path(self) -> str | None:
        unpacked = [self._unpacked / "usr" / "bin" / name for name in self.names]
        return next(filter(None, map(shutil.which, [*self.names, *map(str, unpacked)])), None)

    @property
    def _unpacked(self) -> Path:
        return _CACHE / self.package

    def unavailable(self) -> str | None:
        """What is missing, in words; None when it can be had. May download once."""
        return None if self.path else _fetched(self.package, self._unpacked)


@cache
def _fetched(package: str, target: Path) -> str | None:
    """Unpack into a folder beside and rename it at the end, so that neither an abort nor a parallel run does harm."""
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        return f"needs {package} on the PATH"
    _CACHE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_CACHE, prefix=f"{package}-download-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        if not _run(folder, "apt-get", "download", package):
            _run(folder, "apt-get", "update")
            if not _run(folder, "apt-get", "download", package):
                return f"apt-get could not download {package}; put it on the PATH"
        archive = next(folder.glob("*.deb"))
        if not _run(folder, "dpkg", "-x", str(archive), str(folder / "unpacked")):
            return f"dpkg could not unpack {package}; put it on the PATH"
        try:
            (folder / "unpacked").rename(target)
        except OSError:
            if not target.is_dir():
                raise
    return None


def _run(folder: Path, *command: str) -> bool:
    return subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=False).returncode == 0
