"""All checks, in the order in which troubles follow from each other."""

from services.cli.doctor import duty, evidence, files, outside, standing
from services.cli.doctor.finding import Finding, warn
from services.process import Settings


async def examine(settings: Settings, url: str) -> list[Finding]:
    """Look at everything; `url` is where a running Tocsin listens."""
    file, found = files.config(settings)
    config = file.config if file else None
    findings = [found, files.storage(settings), files.lock(settings)]
    findings += await standing.bus(settings)
    findings += await standing.databases(settings)
    findings.append(await standing.clock(settings, url))
    findings += files.tokens(settings, config) if config else [warn("tokens", "not checked", "Mend the configuration first.")]
    findings.append(await outside.slack(settings, config))
    findings.append(await outside.alertmanager(file))
    findings += await evidence.prometheus(file)
    findings += await duty.duty(settings, file)
    findings.append(await outside.server(url))
    return findings
