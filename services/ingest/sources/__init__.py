"""The table of sources: one line each. A folder beside this file holds its payload, its parser and its page."""

from services.ingest.accept import Source
from services.ingest.sources.alertmanager import parse as alertmanager

SOURCES = (Source("alertmanager", "/webhooks/alertmanager", "alerts", alertmanager.parse),)
