"""Platform: runs the shop's processes, and does what an operator asks of it over HTTP."""
