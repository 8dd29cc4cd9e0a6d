"""The record of what happened: JSON lines that are only ever added to, written ahead and read back.

It lies in a local folder (a file that grows, packed into segments) or at an fsspec address (numbered objects).
Nothing here decides. `replay` asks the kernel again and compares.
"""

from tunedsl.journal.folders import trial_folder
from tunedsl.journal.opening import Standing, create, is_held, reopen, standing
from tunedsl.journal.places import Address, Place, file_system, inside, is_address, place_of, reconnect
from tunedsl.journal.reader import Journal, journal_file
from tunedsl.journal.records import FORMAT, Header, Line, Mark
from tunedsl.journal.repair import Repair, repair
from tunedsl.journal.replay import Proof, fold, naming, one_pass, replay
from tunedsl.journal.tail import Tail
from tunedsl.journal.writer import FileWriter, MemoryWriter, Writer

__all__ = [
    "FORMAT",
    "Address",
    "FileWriter",
    "Header",
    "Journal",
    "Line",
    "Mark",
    "MemoryWriter",
    "Place",
    "Proof",
    "Repair",
    "Standing",
    "Tail",
    "Writer",
    "create",
    "file_system",
    "fold",
    "inside",
    "is_address",
    "is_held",
    "journal_file",
    "naming",
    "one_pass",
    "place_of",
    "reconnect",
    "reopen",
    "repair",
    "replay",
    "standing",
    "trial_folder",
]
