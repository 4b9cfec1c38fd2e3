"""Who is on call: layers, calendars, overrides, and what comes of them together."""
