"""Faults: what can go wrong in the lab, and what only looks like it."""
