"""The record of what happened: an append-only file of JSON lines, written ahead and read back.

Nothing here decides. `replay` asks the kernel again and compares.
"""

from tunedsl.journal.folders import trial_folder
from tunedsl.journal.reader import Journal, journal_file
from tunedsl.journal.records import FORMAT, Header, Line, Mark
from tunedsl.journal.replay import Proof, fold, replay
from tunedsl.journal.tail import Tail
from tunedsl.journal.writer import FileWriter, MemoryWriter, Writer, is_held

__all__ = [
    "FORMAT",
    "FileWriter",
    "Header",
    "Journal",
    "Line",
    "Mark",
    "MemoryWriter",
    "Proof",
    "Tail",
    "Writer",
    "fold",
    "is_held",
    "journal_file",
    "replay",
    "trial_folder",
]
