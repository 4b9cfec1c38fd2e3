"""Slack's bot token: from the environment, else the first line of a file."""

from services.config import SlackSection


class NoToken(Exception):
    """There is none; says in words what to mend and nothing of what was read."""


def slack_token(section: SlackSection, given: str | None) -> str:
    """`given` is that of the environment. Raises `NoToken`."""
    token, path = (given or "").strip(), section.token_file
    if not token and path is None:
        raise NoToken("no bot token: put one into slack.token_file or TOCSIN_SLACK_TOKEN")
    if not token and path is not None:
        try:
            token = path.read_text().partition("\n")[0].strip()
        except (OSError, ValueError) as error:
            raise NoToken(f"no bot token: {path} cannot be read ({type(error).__name__})") from None
    if not token:
        raise NoToken(f"no bot token: the first line of {path} is empty")
    return token
