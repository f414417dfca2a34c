"""Scorers: answers in, figures out. Only they open a truth."""
