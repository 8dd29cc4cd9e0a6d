"""Texts that people see, compared with files. To accept new texts: `TUNEDSL_REWRITE=1 pytest tests/snapshots`."""

import os
from pathlib import Path

FOLDER = Path(__file__).parent / "texts"


def matches(name: str, text: str) -> None:
    """Fails unless `text` is what the file `name` holds."""
    file = FOLDER / name
    if os.environ.get("TUNEDSL_REWRITE"):
        file.write_text(text)
    assert file.exists(), f"no snapshot {name}: run with TUNEDSL_REWRITE=1 and read what it writes"
    assert text == file.read_text()
