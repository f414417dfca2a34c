"""Reasoning with a model: what it is shown, what it may answer, and what its answer may change."""
