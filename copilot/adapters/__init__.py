"""Concrete ends of the ports: one file or folder per thing outside the process."""
