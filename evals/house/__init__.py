"""The house in numbers: what `python -m evals house` prints and `tests/test_house.py` ratchets."""
