"""Where alerts, incidents and the policy meet: what becomes of each alert, and what that does to incidents."""
