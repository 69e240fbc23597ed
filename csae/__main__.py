"""Entry point of ``python -m csae``."""

import sys

from csae.cli import main

if __name__ == "__main__":
    sys.exit(main())
