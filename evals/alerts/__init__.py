"""Alert streams: reading them, feeding them to us and to the peers, one week at a time."""
