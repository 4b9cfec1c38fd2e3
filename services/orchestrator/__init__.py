"""Decides: which alert opens or joins an incident, what follows, and why. Owns episodes, decisions and incidents."""
