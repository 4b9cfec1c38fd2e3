"""What lies outside: Slack, Alertmanager, and a Tocsin that runs."""

import httpx2

from services.cli.client import is_local
from services.cli.doctor.finding import Finding, fail, ok, warn
from services.config import Config, ConfigFile, SlackSection
from services.notifier.channels.slack import SlackChannel
from services.notifier.channels.token import NoToken, slack_token
from services.orchestrator.adapters.alertmanager import statuses
from services.orchestrator.watchfile import cluster_of
from services.process import Settings
from services.runtime.durations import format_duration

PATIENCE = 5.0


async def slack(settings: Settings, config: Config | None) -> Finding:
    """Whether messages can be posted to the configured channel; nothing is posted."""
    if config is None:
        return warn("slack", "not checked", "Mend the configuration first.")
    if config.slack is None:
        return ok("slack", "not configured, messages go to the board")
    try:
        token = slack_token(config.slack, settings.slack_token)
    except NoToken as error:
        return fail("slack", str(error), "Put the bot token into slack.token_file or TOCSIN_SLACK_TOKEN.")
    return await _channel(token, config.slack)


async def _channel(token: str, section: SlackSection) -> Finding:
    channel = SlackChannel(token, section.api_url, PATIENCE)
    try:
        trouble = await channel.check(section.channel)
    finally:
        await channel.close()
    if trouble:
        return fail("slack", trouble, "Incidents reach only the board until this is mended.")
    return ok("slack", f"messages can be posted to {section.channel}")


async def alertmanager(file: ConfigFile | None) -> Finding:
    """Whether each Alertmanager says what fires. Without it decisions go on; only why it went quiet is not known."""
    if file is None:
        return warn("alertmanager", "not checked", "Mend the configuration first.")
    section, unheard = file.config.alertmanager, format_duration(file.config.timers.stale_after)
    if section is None:
        return ok("alertmanager", f"not configured, an alert that was not heard of for {unheard} is shown as stale")
    told = await statuses(cluster_of(section))
    troubles = [f"{url}: {said}" for url, said in told.items() if isinstance(said, str)]
    if troubles:
        more = f" (and {len(troubles) - 1} more)" if len(troubles) > 1 else ""
        hint = f"Until it answers, silences are not seen and nothing that it forgot is over; after {unheard} that is stale."
        return warn("alertmanager", f"{troubles[0]}{more}", hint)
    releases = ", ".join(f"{url} ({said.version})" for url, said in told.items() if not isinstance(said, str))
    return ok("alertmanager", f"{releases} can be asked for what fires")


async def server(url: str) -> Finding:
    """Whether a Tocsin runs and is ready."""
    try:
        async with httpx2.AsyncClient(timeout=PATIENCE, trust_env=not is_local(url)) as http:
            answer = await http.get(f"{url.rstrip('/')}/-/ready")
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        return warn("server", f"{url}: {error or type(error).__name__}", "Start it by `tocsin serve`, or say where by --url.")
    if answer.is_success:
        return ok("server", f"{url} is ready")
    lines = "; ".join(answer.text.splitlines()[:5]) or f"answers {answer.status_code}"
    return fail("server", f"{url} is not ready: {lines}", "Look at its log for what it waits for.")
