"""The entry point of the application bundle: as `python -m app`, where there may be no terminal to write to."""

import os
import runpy
import sys

for name in ("stdout", "stderr"):
    if getattr(sys, name) is None:  # libraries print without asking
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, PTH123

from app.__main__ import main

if __name__ == "__main__":
    if sys.argv[1:2] == ["-m"]:  # the bundle's launcher runs this file, whatever it is asked for
        del sys.argv[:2]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        sys.exit(main())
