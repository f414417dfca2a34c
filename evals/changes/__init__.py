"""Which commit did it, or none: frozen incidents with their commits and diffs."""
