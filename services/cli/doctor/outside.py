"""What lies outside: Slack, and a Tocsin that runs."""

import httpx2

from services.cli.client import is_local
from services.cli.doctor.finding import Finding, fail, ok, warn
from services.config import Config, SlackSection
from services.notifier.channels.slack import SlackChannel
from services.notifier.channels.token import NoToken, slack_token
from services.process import Settings

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
