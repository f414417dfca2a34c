"""Recovery: simulated incidents played through the engine to their end, and what is refused."""
