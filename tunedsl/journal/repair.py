"""Copies the valid prefix of a damaged journal into a new folder; the original is never changed."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from tunedsl.base.diagnostics import reason
from tunedsl.base.errors import ArgumentError, Divergence, JournalError, StorageError
from tunedsl.base.references import forbid_imports
from tunedsl.journal.location import Address, Location, file_system, is_inside, location_of
from tunedsl.journal.opening import create
from tunedsl.journal.reader import Journal, segment_folder
from tunedsl.journal.records import DamagedRecord, Line, from_line
from tunedsl.journal.replay import fold, gc_paused
from tunedsl.journal.segments import MAX_LINE, Segment, chain, lines_of, open_location, segments_in
from tunedsl.kernel import RunState
from tunedsl.kernel.events import Event

BATCH = 10_000
MAX_NAMED = 10


@attrs.frozen
class Repair:
    """What a repair saved and what was lost.

    Attributes:
        folder: the new experiment, which can be read and resumed.
        records: how many records it has, each verified.
        trials: how many trials it has.
        reason: why the next record is invalid; empty without damage.
        lost: how many later records can be decoded but not verified.
        touched: the trials of the lost records, by number.
        torn: bytes of a torn tail.
        missing: checkpoints that trials need and that do not exist.
    """

    folder: Location
    records: int
    trials: int
    reason: str
    lost: int
    touched: tuple[int, ...]
    torn: int
    missing: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"saved {self.records} records ({self.trials} trials) into {self.folder}"]
        if self.torn:
            lines.append(f"lost: {self.torn} bytes of a torn tail, which a crash cut short")
        if self.reason:
            lines.append(f"lost: record {self.records} and all after it: {self.reason}")
            if self.lost:
                of = f", of trials {_format_numbers(self.touched)}" if self.touched else ""
                lines.append(f"{self.lost} later records can be read but not verified{of}")
        elif not self.torn:
            lines.append("nothing was lost")
        lines += [f"missing: the checkpoint {place}" for place in self.missing]
        return "\n".join(lines)


def repair(source: str | os.PathLike[str], to: str | os.PathLike[str] | None = None) -> Repair:
    """Copy a journal up to its first damaged record into a new folder, with the checkpoints that its trials need.

    Args:
        source: an experiment's folder or address, or its journal file.
        to: an empty folder or address; by default a folder next to the source whose name ends in `-repaired`.

    Raises:
        JournalError: when not even the first record can be read.
        ArgumentError: when `to` is not empty.
    """
    journal = Journal(source)
    journal.header  # noqa: B018  # raises when there is nothing to save
    written = _latest_history(journal) or journal
    raws = written.raw()
    target = location_of(to) if to is not None else journal.folder.parent / f"{journal.folder.name}-repaired"
    _create_target(target)
    writer = create(target)
    reason, state = "", None
    try:
        with gc_paused(), forbid_imports():
            for line, state in fold(written):  # noqa: B007 - the last one counts
                writer.copy(next(raws)[0])
                if line.n % BATCH == 0:
                    writer.flush()
    except (JournalError, Divergence) as error:
        reason = str(error)
    finally:
        writer.close()
    if written is not journal and not reason:
        reason = "Two drivers wrote these records at the same time; those of the later driver are saved."
    lost = [] if not reason else list(_readable_records(journal, writer.count))
    return Repair(
        folder=target,
        records=writer.count,
        trials=len(state.trials) if state is not None else 0,
        reason=reason,
        lost=len(lost),
        touched=tuple(sorted({number for line in lost for number in _trials(line.e)})),
        torn=journal.torn,
        missing=()
        if state is None or journal.header.provenance.get("storage")
        else copy_checkpoints(journal.folder, state, target),
    )


def _latest_history(journal: Journal) -> Journal | None:
    """The records of the driver that took the journal over last, where two drivers without epochs wrote at once.

    Each history ends with a segment that nothing continues. Before it are the segments that end where the next begins,
    or else a part of one that continues further. The latest history has the most drivers, then the most records.
    """
    segments = segments_in(segment_folder(journal.path))
    try:
        _ = list(chain(segments))
        return None
    except JournalError:
        histories = [Journal(_lines_of_history(tip, segments)) for tip in _tips(segments)]
    return max(histories, key=_drivers_and_records, default=None)


def _tips(segments: list[Segment]) -> list[Segment]:
    firsts = {segment.first for segment in segments}
    return [segment for segment in segments if segment.last + 1 not in firsts]


def _lines_of_history(tip: Segment, segments: list[Segment]) -> list[bytes]:
    path = [tip]
    while path[-1].first > 0:
        record = path[-1].first - 1
        before = [segment for segment in segments if segment.first <= record <= segment.last]
        if not before:
            return []
        nearest = min(before, key=lambda segment: (segment.last != record, segment.first))
        path.append(attrs.evolve(nearest, end=record))
    try:
        return [line for segment in reversed(path) for line in lines_of(segment, segment.first)]
    except (JournalError, OSError):
        return []


def _drivers_and_records(history: Journal) -> tuple[int, int]:
    drivers = records = 0
    with contextlib.suppress(JournalError, Divergence), gc_paused(), forbid_imports():
        for line, _ in fold(history):
            drivers += line.m is not None and line.m.opened is not None
            records += 1
    return drivers, records


def _create_target(target: Location) -> None:
    """Creates the new folder, which must be empty."""
    if isinstance(target, Address):
        taken = bool(segments_in(target / "journal"))
    else:
        try:
            target.mkdir(parents=True, exist_ok=True)
            taken = any(target.iterdir())
        except OSError as error:
            raise StorageError(f"The folder {target} cannot be created: {reason(error)}.") from error
    if taken:
        hint = "name another one by to=, or by --to in the terminal"
        raise ArgumentError("E003", "repair.to", f"The folder {target} is not empty.", hint)


def _readable_records(journal: Journal, start: int) -> Iterator[Line]:
    """The records from number `start` with a valid checksum, in any place."""
    seen: set[int] = set()
    path = journal.path
    places = [item.place for item in segments_in(segment_folder(path)) if item.last >= start]
    for place in places if isinstance(path, Address) else [*places, path]:
        for raw in _lines(place):
            number = raw[5:23].split(b",")[0]
            if not number.isdigit() or int(number) < start or int(number) in seen:
                continue
            try:
                line = from_line(raw[:-1], int(number))
            except DamagedRecord:
                continue
            seen.add(line.n)
            yield line


def _lines(place: Location) -> Iterator[bytes]:
    import gzip

    try:
        with open_location(place) as raw, gzip.GzipFile(fileobj=raw) if str(place).endswith(".gz") else raw as file:
            while line := file.readline(MAX_LINE):
                yield line
    except (OSError, EOFError, JournalError):
        return  # the readable part is enough


def _trials(event: Event | None) -> Iterable[int]:
    number = getattr(event, "trial", None)
    return () if number is None else (number,)


def copy_checkpoints(source: Location, state: RunState, target: Location) -> tuple[str, ...]:
    """Copies the checkpoints that trials need; returns those that do not exist."""
    needed = {trial.folder for trial in state.trials.values() if trial.folder}
    needed |= {kept.folder for trial in state.trials.values() for kept in trial.checkpoints}
    missing = []
    for place in sorted(needed):
        try:
            _copy(source, place, target)
        except (OSError, StorageError):
            missing.append(place)
    return tuple(missing)


def _copy(source: Location, place: str, target: Location) -> None:
    with tempfile.TemporaryDirectory(prefix="tunedsl-") as scratch:
        if isinstance(source, Address):
            local = Path(scratch) / "checkpoint"
            files, root = file_system(source / place)
            files.get(f"{root}/", f"{local}/", recursive=True)
        else:
            local = is_inside(source, place)
        if isinstance(target, Address):
            files, root = file_system(target / place)
            for file in sorted(item for item in local.rglob("*") if item.is_file() and not item.is_symlink()):
                files.put_file(str(file), f"{root}/{file.relative_to(local).as_posix()}")
        else:
            part = Path(f"{target / place}.copy.part")
            try:
                shutil.copytree(local, part, symlinks=True)
                part.rename(target / place)
            finally:
                shutil.rmtree(part, ignore_errors=True)


def _format_numbers(numbers: tuple[int, ...]) -> str:
    shown = ", ".join(map(str, numbers[:MAX_NAMED]))
    return shown if len(numbers) <= MAX_NAMED else f"{shown} and {len(numbers) - MAX_NAMED} more"
