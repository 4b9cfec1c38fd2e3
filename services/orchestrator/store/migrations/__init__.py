"""The orchestrator's schema history."""
