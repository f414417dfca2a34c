"""Run by path, not imported: llama.cpp's own server with one model, until its parent lets go of it.

Reads what to load as a line of JSON, writes where it listens, and ends when its input ends.
"""

import importlib
import json
import sys

BATCH = 256
"""Tokens of a prompt read at once; between two batches it looks whether anybody still waits."""


def main() -> None:
    """Load, say where, stay."""
    asked = json.loads(sys.stdin.readline())
    sys.path.insert(0, asked["runtime"])
    llama = importlib.import_module("xllamacpp")
    params = llama.CommonParams()
    params.model.path = asked["file"]
    params.n_ctx = asked["context"]
    params.n_parallel = 1
    params.n_batch = params.n_ubatch = BATCH
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = asked["threads"]
    params.api_keys = [asked["key"]]
    params.cors_origins = "null"
    params.ui = params.endpoint_slots = False
    params.offline = True
    server = llama.Server(params)
    sys.stdout.write(server.listening_address + "\n")
    sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
