"""Receives what the outside sends, checks who sends it, bounds it, makes messages of it. No state, no decisions."""
