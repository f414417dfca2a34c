"""`python -m copilot.simulator FOLDER`: record the shipped bundles anew."""

import argparse
from pathlib import Path

from copilot.simulator.shipped import write_shipped

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m copilot.simulator", description=__doc__)
    parser.add_argument("folder", type=Path, help="where incidents/, history/, truth/ go")
    write_shipped(parser.parse_args().folder)
