"""`python -m tunedsl`."""

from tunedsl.cli import main

if __name__ == "__main__":
    main()
