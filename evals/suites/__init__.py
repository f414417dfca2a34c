"""One file per suite; each has `run(options, progress) -> Result`."""
