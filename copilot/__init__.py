"""Incident copilot: the state machine, its surfaces, and the adapters to the world."""

__version__ = "0.1.0"
