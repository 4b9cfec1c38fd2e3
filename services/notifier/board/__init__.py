"""The page that shows the built-in message board."""
