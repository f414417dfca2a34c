"""The nodes of an answer: what is looked at, and what is said of it."""
