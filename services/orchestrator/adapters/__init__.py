"""What the orchestrator asks outside."""
