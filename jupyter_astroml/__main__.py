"""``python -m jupyter_astroml`` is ``jupyter astroml``."""

from jupyter_astroml.cli import main

if __name__ == "__main__":
    main()
