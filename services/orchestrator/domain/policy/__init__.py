"""The policy as a value: its rules, what they look at, and how bad they find an alert."""
