"""What the orchestrator keeps: firings with their decisions, incidents with their events, and what follows from them."""
