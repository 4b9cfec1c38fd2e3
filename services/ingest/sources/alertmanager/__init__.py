"""Alertmanager's webhook, version 4; see doc.md."""
