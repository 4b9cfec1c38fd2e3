"""Servers outside that are asked for facts. Each adapter bounds what it takes in, and says in words what went wrong."""
