"""`python -m simulator`: see `simulator.commands`."""

import sys

from simulator.commands import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
