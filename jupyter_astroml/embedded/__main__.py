"""``python -m jupyter_astroml.embedded [DIR]``: serve the demo sky, or a folder, until stopped."""

from __future__ import annotations

import sys

from jupyter_astroml.embedded.serve import main

if __name__ == "__main__":
    sys.exit(main())
