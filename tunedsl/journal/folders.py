"""A trial's own folder: made when the first thing is written there, with the trial's configuration in it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from tunedsl.base.types import Json
from tunedsl.sinks.contract import PARAMS_FILE

TRIALS_FOLDER: Final = "trials"


def trial_folder(root: str | Path, name: str, config: Json, create_new: bool = False) -> Path:
    """The folder of a trial, made if it is not there.

    `params.json` in it is the whole configuration as the journal has it, which `base.codec.from_json` reads back.

    Args:
        root: the experiment's folder.
        config: canonical JSON data.
        create_new: whether the configuration may have changed since the folder was made.
    """
    folder = Path(root) / TRIALS_FOLDER / name
    params = folder / PARAMS_FILE
    if create_new or not params.exists():
        folder.mkdir(parents=True, exist_ok=True)
        whole = folder / f".{PARAMS_FILE}"
        whole.write_bytes(msgspec.json.format(msgspec.json.encode(config), indent=2) + b"\n")
        whole.replace(params)
    return folder
