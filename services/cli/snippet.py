"""`tocsin alertmanager-snippet`: what to put into Alertmanager's configuration."""

import json
from typing import Annotated

import typer

from services.cli.options import LOCAL, Url
from services.cli.webhook import PATH

_SNIPPET = """\
# Put both parts into alertmanager.yml; then `amtool check-config alertmanager.yml`, and reload Alertmanager.
#
# The token that Alertmanager shows to Tocsin:
#   tocsin token create --name alertmanager --scope alerts
# Write the token (its first line) to {bare_file}, readable by Alertmanager only,
# and the line that it prints under access.tokens of tocsin.yaml.

route:
  routes:
    # First, so that every alert comes here; `continue` lets the routes below see it as before.
    - receiver: tocsin
      continue: true
      group_wait: 5s
      group_interval: 30s

receivers:
  - name: tocsin
    webhook_configs:
      - url: {url}
        send_resolved: true   # an incident is over when its alerts are
        max_alerts: 0         # all of them: what is cut off here is never decided
        http_config:
          authorization:
            credentials_file: {file}
"""


def alertmanager_snippet(
    url: Url = LOCAL,
    credentials_file: Annotated[
        str, typer.Option("--credentials-file", help="Where Alertmanager finds the token.")
    ] = "/etc/alertmanager/tocsin-token",
) -> None:
    """Print the receiver and the route that send Alertmanager's alerts here."""
    target = json.dumps(url.rstrip("/") + PATH)
    print(_SNIPPET.format(url=target, file=json.dumps(credentials_file), bare_file=json.dumps(credentials_file)[1:-1]), end="")
