"""Which slice of a business metric is to blame: suite and peers."""
