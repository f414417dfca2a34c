"""Shop: the services of the lab, each its own process; and the users who come to it."""
