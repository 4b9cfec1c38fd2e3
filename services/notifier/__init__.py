"""Tells people: plans deliveries from incident events, stores them, sends them, and keeps what became of each."""
