"""Plumbing that all services stand on. It knows no incident word."""
