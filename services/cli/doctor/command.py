"""The command."""

# ruff: noqa: PLC0415  imported when it is used

from dataclasses import asdict

import typer

from services.cli.doctor.finding import Finding, Status
from services.cli.options import DATA, LOCAL, ConfigPath, DatabaseUrl, Form, Kafka, Output, Storage, Url, secret
from services.cli.show import STATE, Column, always, answer, by, table


def doctor(
    config: ConfigPath = None,
    storage: Storage = DATA,
    kafka: Kafka = None,
    database: DatabaseUrl = None,
    url: Url = LOCAL,
    output: Output = Form.TABLE,
) -> None:
    """Check everything that Tocsin stands on, with a hint for each trouble. Ends with status 1 if something fails."""
    import asyncio

    from services.cli.doctor.examine import examine
    from services.process import Settings
    from services.runtime.logs import set_up

    set_up("error", "auto")
    settings = Settings(
        storage=storage,
        config_file=config,
        kafka=kafka or None,
        database=database or None,
        admin_token=secret("TOCSIN_ADMIN_TOKEN"),
        slack_token=secret("TOCSIN_SLACK_TOKEN"),
    )
    findings = asyncio.run(examine(settings, url))
    answer(output, [asdict(finding) for finding in findings], lambda: _table(findings))
    if any(finding.status is Status.FAIL for finding in findings):
        raise typer.Exit(1)


def _table(findings: list[Finding]) -> None:
    columns = (Column("CHECK", always("bold")), Column("STATUS", by(STATE)), Column("FOUND → WHAT TO DO", wide=True))
    table(columns, [[finding.check, finding.status, _line(finding)] for finding in findings], "")


def _line(finding: Finding) -> str:
    return f"{finding.text} → {finding.hint}" if finding.hint else finding.text
