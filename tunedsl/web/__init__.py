"""The web application: its files, and what it shows of a run, as JSON. A server is in `dashboard/`."""

from pathlib import Path
from typing import Final

STATIC: Final = Path(__file__).parent / "static"
"""The application's files."""
