"""`python -m services` is `tocsin`."""

from services.cli.__main__ import main

if __name__ == "__main__":
    main()
