"""Notify: who is told of an incident, in which words, by which channel, and when not."""
