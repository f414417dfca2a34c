"""Every suite in one run: what was run, the stages beside their targets, and the page of it."""
