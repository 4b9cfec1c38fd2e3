"""HTTP of the orchestrator: reads and overrides."""
