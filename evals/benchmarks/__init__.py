"""One file per benchmark; each has `run(options, progress) -> Result` with ratios to a peer."""
