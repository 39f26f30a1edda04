"""What the application bundle runs: as `python -m app`, where there may be no terminal to write to."""

import os
import sys

for name in ("stdout", "stderr"):
    if getattr(sys, name) is None:  # libraries print without asking
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123

from app.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
