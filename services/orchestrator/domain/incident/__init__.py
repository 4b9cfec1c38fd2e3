"""One incident: what can be asked of it, what that makes of it, and how it is said."""
