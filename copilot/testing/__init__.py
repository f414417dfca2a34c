"""Fakes that ship with the code: what stands behind a seam when the real thing is not wanted.

One module per seam; a fake keeps the promises of its port and nothing more.
"""
