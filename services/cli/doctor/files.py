"""What lies on this machine: the configuration, the storage folder, the tokens."""

import fcntl
import shutil
import tempfile
from pathlib import Path

from services.cli.checkconfig import summary
from services.cli.doctor.finding import Finding, fail, ok, warn
from services.config import Config, ConfigFile
from services.process import Settings
from services.runtime.auth import token_hash
from services.runtime.errors import ConfigError

SPACE = 500_000_000
"""Bytes that should be free: a storm of 100,000 alerts needs a good part of it."""
SHORT = 20
"""Characters below which a token can be guessed."""


def config(settings: Settings) -> tuple[ConfigFile | None, Finding]:
    """The configuration, None when it is broken."""
    try:
        found = ConfigFile.open(settings.config_file)
    except ConfigError as error:
        more = f" (and {len(error.faults) - 1} more)" if len(error.faults) > 1 else ""
        return None, fail("config", f"{error.faults[0]}{more}", "`tocsin check-config` shows every fault.")
    if found.shadow_faults:
        said = f"the candidate that is to run beside the policy cannot be used: {found.shadow_faults[0]}"
        return found, warn("config", said, "`tocsin check-config` shows every fault.")
    if found.warnings:
        more = f" (and {len(found.warnings) - 1} more)" if len(found.warnings) > 1 else ""
        return found, warn("config", f"{found.warnings[0]}{more}", "`tocsin check-config` shows every warning.")
    where = settings.config_file or "no file, all defaults"
    return found, ok("config", f"{where}: {summary(found.config)[0]}")


def storage(settings: Settings) -> Finding:
    """Whether the folder can be written, and has room."""
    folder = settings.storage
    if not folder.exists():
        return warn("storage", f"{folder} does not exist", "It is made at the first start; is --storage.path right?")
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free
    except OSError as error:
        return fail("storage", f"{folder} cannot be written: {error.strerror}", "Give the user that runs Tocsin this folder.")
    text = f"{folder} can be written, {free / 1e9:.1f} GB are free"
    return ok("storage", text) if free >= SPACE else warn("storage", text, "Make room: a full disk refuses alerts.")


def lock(settings: Settings) -> Finding:
    """Who uses the folder."""
    path = settings.storage / "lock"
    if settings.kafka:
        return ok("lock", "not needed with Kafka and a database")
    try:
        with path.open() as file:
            owner = file.read().strip()
            return ok("lock", f"a Tocsin runs here (process {owner})" if _held(file.fileno()) else "no Tocsin runs here")
    except FileNotFoundError:
        return ok("lock", "no Tocsin has run here")
    except OSError as error:
        return fail("lock", f"{path}: {error.strerror}", "Give the user that runs Tocsin this file, or remove it.")


def _held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def tokens(settings: Settings, config: Config) -> list[Finding]:
    """The administrator's token, and those of the configuration."""
    return [_admin(settings), _listed(config), _sender(config)]


def _admin(settings: Settings) -> Finding:
    check, path = "admin token", settings.storage / "admin-token"
    if settings.admin_token:
        return _given(check, settings.admin_token)
    if not path.exists():
        each = ", in each process another: set TOCSIN_ADMIN_TOKEN" if settings.kafka else ""
        return warn(check, f"{path} does not exist", f"One is made at the first start{each}.")
    return _private(check, path)


def _given(check: str, token: str) -> Finding:
    text = "TOCSIN_ADMIN_TOKEN is set"
    if len(token) < SHORT:
        return warn(check, f"{text}, with {len(token)} characters", "Take one from `tocsin token create`.")
    return ok(check, text)


def _private(check: str, path: Path) -> Finding:
    mode = path.stat().st_mode & 0o777
    if mode & 0o077:
        return fail(check, f"{path} can be read by others (mode {mode:03o})", f"chmod 600 {path}; delete it for a new token.")
    return ok(check, f"{path}, for its owner only")


def _listed(config: Config) -> Finding:
    check, known = "tokens", [token.sha256 for token in config.access.tokens]
    if token_hash("") in known:
        return fail(check, "a token's sha256 is that of nothing", "Take the line that `tocsin token create` prints.")
    if len(set(known)) < len(known):
        return warn(check, "two tokens have the same sha256", "Give each sender and person one of their own.")
    return ok(check, f"{len(known)} in the configuration")


def _sender(config: Config) -> Finding:
    check = "alerts token"
    names = [token.name for token in config.access.tokens if {"alerts", "admin"} & set(token.scopes)]
    if not names:
        hint = "tocsin token create --name alertmanager --scope alerts"
        return warn(check, "no token may send alerts but the administrator's", hint)
    return ok(check, f"alerts may come from {', '.join(names)}")
