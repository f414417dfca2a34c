"""Recorded incidents, scorers, reports and benchmarks; nothing in production imports this."""
