"""A policy tried before it wakes anyone: simulation, replay, shadow."""
