"""The journal: append-only JSON lines, written before they take effect, and how they are read, replayed and repaired.

It is in a local folder (one file and packed segments) or at an fsspec address (numbered objects). Nothing here decides:
`replay` runs the kernel again and compares.
"""

from tunedsl.journal.folders import trial_folder
from tunedsl.journal.forking import Parent, fork_point, parent_of, write_fork
from tunedsl.journal.location import (
    Address,
    Location,
    file_system,
    is_address,
    is_inside,
    leads_inside,
    location_of,
    reconnect,
)
from tunedsl.journal.opening import JournalStatus, create, has_driver, read_status, reopen
from tunedsl.journal.reader import Journal, journal_file
from tunedsl.journal.records import FORMAT, Header, Line, Mark
from tunedsl.journal.repair import Repair, copy_checkpoints, repair
from tunedsl.journal.replay import Proof, events_before, fold, gc_paused, name_states, replay
from tunedsl.journal.reported import reported_data, reported_values
from tunedsl.journal.tail import Tail
from tunedsl.journal.trial_changes import ENDED, STATUSES, TrialChange, TrialStatuses, trial_changes
from tunedsl.journal.writer import FileWriter, MemoryWriter, Writer

__all__ = [
    "ENDED",
    "FORMAT",
    "STATUSES",
    "Address",
    "FileWriter",
    "Header",
    "Journal",
    "JournalStatus",
    "Line",
    "Location",
    "Mark",
    "MemoryWriter",
    "Parent",
    "Proof",
    "Repair",
    "Tail",
    "TrialChange",
    "TrialStatuses",
    "Writer",
    "copy_checkpoints",
    "create",
    "events_before",
    "file_system",
    "fold",
    "fork_point",
    "gc_paused",
    "has_driver",
    "is_address",
    "is_inside",
    "journal_file",
    "leads_inside",
    "location_of",
    "name_states",
    "parent_of",
    "read_status",
    "reconnect",
    "reopen",
    "repair",
    "replay",
    "reported_data",
    "reported_values",
    "trial_changes",
    "trial_folder",
    "write_fork",
]
