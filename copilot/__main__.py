"""`python -m copilot`."""

from copilot.cli import main

if __name__ == "__main__":
    main()
