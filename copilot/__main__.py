"""`python -m copilot`."""

from copilot.surfaces.cli import main

if __name__ == "__main__":
    main()
