"""Deterministic instruments: data in, data out; no clock, network, model or environment."""
