"""A trial's folder, which is created with the first file in it; checkpoints and output are written elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tunedsl.base.types import Json
from tunedsl.sinks.contract import PARAMS_FILE

TRIALS_FOLDER: Final = "trials"


def trial_folder(root: str | Path, name: str, config: Json, create_new: bool = False) -> Path:
    """The folder of a trial, created if it does not exist.

    Its `params.json` is the configuration as in the journal; `base.codec.from_json` reads it.

    Args:
        root: the experiment's folder.
        name: the trial's name.
        config: the configuration as canonical JSON data.
        create_new: whether to write `params.json` again, since the configuration may have changed.
    """
    folder = Path(root) / TRIALS_FOLDER / name
    params = folder / PARAMS_FILE
    if create_new or not params.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f".{PARAMS_FILE}"
        part.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
        part.replace(params)
    return folder
