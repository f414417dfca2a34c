"""The nodes of an answer, one file each."""
