"""`python -m pollwise` is the command `pollwise`."""

from __future__ import annotations

import sys

from pollwise.cli import main

if __name__ == "__main__":
    sys.exit(main())
