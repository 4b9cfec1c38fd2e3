"""Alerts as such: their labels, their firings, planned work, and what Alertmanager lists."""
