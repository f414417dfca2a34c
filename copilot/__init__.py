"""Incident copilot: a graph that works an incident, its surfaces, and the adapters to the world.

The wings, from the lowest floor to the highest: types, store, alerts, model and knowledge, sources,
hands, case, surfaces. A wing imports only from floors below its own; `wiring` joins them.
"""

__version__ = "0.1.0"
