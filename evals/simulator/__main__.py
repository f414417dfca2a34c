"""`python -m evals.simulator FOLDER`: record the shipped bundles anew."""

import argparse
from pathlib import Path

from evals.simulator.shipped import write_shipped

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m evals.simulator", description=__doc__)
    parser.add_argument("folder", type=Path, help="where incidents/, history/, truth/ go")
    write_shipped(parser.parse_args().folder)
