"""Lab: a small shop of real processes to break, watch and mend."""
