"""Reasoning measured: the model's way on recorded incidents, and what hostile text can do to it."""
