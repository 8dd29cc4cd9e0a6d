"""Journals changed at random: each is read as written, read up to some record, or refused.

python -m tests.replay.fuzz --count 5000 --seed 0

A case is a golden journal in one of three layouts, changed in one of many ways. `judge` says what is wrong with the way
it was read: another result, an error that names no place, an error of the wrong kind, a hang, or code that was run.
"""

from __future__ import annotations

import argparse
import collections
import random
import re
import resource
import shutil
import signal
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from tunedsl import load, replay
from tunedsl.base.errors import Divergence, JournalError
from tunedsl.journal.location import Address, file_system
from tunedsl.journal.reader import Digest
from tunedsl.journal.records import from_line
from tunedsl.journal.segments import name_of, packed

GOLDEN = Path(__file__).parent / "golden"
NAMES = ("asha", "failures", "stops", "hyperband", "median", "pbt")
SECONDS = 20
MEMORY = 6 * 2**30

Files = dict[str, bytes]
"""An experiment's folder: content by name."""


@cache
def lines_of(name: str) -> list[bytes]:
    return (GOLDEN / f"{name}.jsonl").read_bytes().splitlines(keepends=True)


@cache
def digests_of(name: str) -> list[str]:
    """The digest of the first records."""
    lines = lines_of(name)
    header = from_line(lines[0][:-1], 0).h
    assert header is not None
    digest, found = Digest(header), [""]
    for number, line in enumerate(lines):
        event = from_line(line[:-1], number).e
        if event is not None:
            digest.add(event)
        found.append(digest.text)
    return found


# Layouts


def plain(lines: list[bytes], dice: random.Random) -> Files:
    return {"journal.jsonl": b"".join(lines)}


def closed(lines: list[bytes], dice: random.Random) -> Files:
    """Packed segments and the file behind them."""
    cuts = sorted(dice.sample(range(1, len(lines)), 3))
    return {**_pieces(lines[: cuts[-1]], cuts[:-1], True), "journal.jsonl": b"".join(lines[cuts[-1] :])}


def objects(lines: list[bytes], dice: random.Random) -> Files:
    """Numbered objects, the older ones packed."""
    cuts = sorted(dice.sample(range(1, len(lines)), 5))
    old = _pieces(lines[: cuts[2]], cuts[:2], True)
    new = _pieces(lines, cuts, False)
    return {**old, **{name: new[name] for name in sorted(new)[3:]}}


def _pieces(lines: list[bytes], cuts: list[int], pack: bool) -> Files:
    found = {}
    for first, end in zip([0, *cuts], [*cuts, len(lines)], strict=True):
        content = b"".join(lines[first:end])
        found[f"journal/{name_of(first, end - 1, pack)}"] = packed(content) if pack else content
    return found


LAYOUTS: dict[str, Callable[[list[bytes], random.Random], Files]] = {
    "plain": plain,
    "closed": closed,
    "objects": objects,
}


# Changes to the bytes of one file


def truncated(content: bytes, dice: random.Random) -> bytes:
    return content[: dice.randrange(len(content))]


def flipped(content: bytes, dice: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(dice.choice([1, 1, 1, 2, 8])):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def overwritten(content: bytes, dice: random.Random) -> bytes:
    at, length = dice.randrange(len(content)), dice.choice([1, 16, 512, 4096])
    return content[:at] + dice.randbytes(length) + content[at + length :]


def inserted(content: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(content) + 1)
    garbage = dice.choice([b"\n", b"\0" * 64, b"{}\n", b"[" * 4000 + b"\n", dice.randbytes(40)])
    return content[:at] + garbage + content[at:]


def doubled(content: bytes, dice: random.Random) -> bytes:
    return content + content


BYTES = (truncated, truncated, flipped, flipped, overwritten, inserted, doubled)


# Changes to the records, before they are laid out


def cut(lines: list[bytes], dice: random.Random) -> list[bytes]:
    return lines[: dice.randrange(1, len(lines))]


def missing(lines: list[bytes], dice: random.Random) -> list[bytes]:
    at = dice.randrange(len(lines))
    return lines[:at] + lines[at + dice.choice([1, 1, 2, 5]) :]


def duplicated(lines: list[bytes], dice: random.Random) -> list[bytes]:
    at = dice.randrange(len(lines))
    return lines[: at + 1] + lines[at:]


def swapped(lines: list[bytes], dice: random.Random) -> list[bytes]:
    changed = list(lines)
    one, two = dice.randrange(len(lines)), dice.randrange(len(lines))
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def elsewhere(lines: list[bytes], dice: random.Random) -> list[bytes]:
    """A record of another experiment, under this one's number."""
    other, at = lines_of(dice.choice(NAMES)), dice.randrange(len(lines))
    line = re.sub(rb'^\{"n":\d+', b'{"n":%d' % at, dice.choice(other))
    return [*lines[:at], sealed(line), *lines[at + 1 :]]


def forged(lines: list[bytes], dice: random.Random) -> list[bytes]:
    """Another number, name or word somewhere, with a correct checksum: it may be accepted, but must break nothing."""
    at = dice.randrange(len(lines))
    tokens = list(re.finditer(rb'-?\d+(?:\.\d+)?(?:e-?\d+)?|"[^"\\]*"|\[|\{|null|true|false', lines[at]))
    token = dice.choice(tokens[1:-1] or tokens)
    return [
        *lines[:at],
        sealed(lines[at][: token.start()] + dice.choice(FORGERIES) + lines[at][token.end() :]),
        *lines[at + 1 :],
    ]


FORGERIES = (
    b"0", b"-1", b"1", b"7", b"1000000000000", b"18446744073709551615", b"1" + b"0" * 400, b"1e308", b"0.5", b'""',
    b'"nan"', b'"../../evil"', b'"/etc/passwd"', b'"os:system"', b'"x"', b"null", b"true", b"[]", b"{}", b"[[]]",
    b"[" * 200 + b"]" * 200, b'{"$value":["Plan",{}]}', b'{"$object":"os:system"}', b'"' + b"y" * 5000 + b'"',
)  # fmt: skip


def sealed(line: bytes) -> bytes:
    """The line with the checksum that it should have."""
    body = re.sub(rb',"k":"[0-9a-f]*"\}\n$', b"", line)
    return b'%b,"k":"%08x"}\n' % (body, zlib.crc32(body))


RECORDS = (cut, missing, duplicated, swapped, elsewhere, forged, forged, forged)
TAKEN = {forged, elsewhere}
"""Changes that no checksum can tell: what comes out may differ, as in a run that went otherwise."""


# Changes to the files


def lost(files: Files, dice: random.Random) -> Files:
    gone = dice.choice(sorted(files))
    return {name: content for name, content in files.items() if name != gone}


def exchanged(files: Files, dice: random.Random) -> Files:
    one, two = dice.choice(sorted(files)), dice.choice(sorted(files))
    return {**files, one: files[two], two: files[one]}


def renamed(files: Files, dice: random.Random) -> Files:
    """A copy under other numbers."""
    one = dice.choice(sorted(files))
    first = dice.randrange(40)
    name = f"journal/{name_of(first, first + dice.randrange(40), one.endswith('.gz'))}"
    return {**files, name: files[one]}


FOLDERS = (lost, exchanged, renamed)


def case(seed: int, number: int) -> tuple[str, str, str, Files, bool]:
    """Golden journal, layout, change, the files, and whether the records themselves were changed knowingly."""
    dice = random.Random(f"{seed}/{number}")
    name, layout = dice.choice(NAMES), dice.choice(sorted(LAYOUTS))
    change: Any = dice.choice(dice.choice([BYTES, RECORDS, FOLDERS]))
    lines = lines_of(name)
    if change in RECORDS:
        lines = change(lines, dice)
        files = LAYOUTS[layout](lines, dice) if len(lines) > 8 else plain(lines, dice)
        layout = layout if len(lines) > 8 else "plain"
    else:
        files = LAYOUTS[layout](lines, dice)
        if change in FOLDERS:
            files = change(files, dice)
        else:
            victim = dice.choice(sorted(files))
            files = {**files, victim: change(files[victim], dice)}
    return name, layout, change.__name__, files, change in TAKEN


def lay_down(files: Files, layout: str, folder: Path) -> Path | Address:
    """Puts the files where they are read: in a local folder, or at an address in memory."""
    if layout == "objects":
        place = Address(f"memory://fuzz/{folder.name}")
        store, root = file_system(place)
        if store.exists(root):
            store.rm(root, recursive=True)
        for name, content in files.items():
            store.pipe_file(f"{root}/{name}", content)
        return place
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def judge(place: Path | Address, name: str, taken: bool) -> tuple[str, str]:
    """The verdict in one word, and the defect, if any."""
    outcome, wrong = "", ""
    try:
        proof = replay(place)
        outcome = "whole" if proof.records == len(lines_of(name)) else "part"
        known = digests_of(name)
        if not taken and (proof.records >= len(known) or proof.digest != known[proof.records]):
            wrong = f"another result: {proof}"
    except JournalError as error:
        outcome = "refused"
        if error.record is None and not re.search("no journal here|has no record|cannot be listed", str(error)):
            wrong = f"names no place: {error}"
    except Divergence:
        outcome = "diverged"
    except Exception as error:
        wrong = f"{type(error).__name__}: {error}"
    try:
        trials = load(place).trials
        if outcome in ("whole", "part") and len(trials) != len(proof.state.trials):
            wrong = wrong or f"{len(trials)} trials read, {len(proof.state.trials)} proved"
        [trial.metrics for trial in trials]
    except JournalError:
        if outcome in ("whole", "part"):
            wrong = wrong or "proved, but cannot be read"
    except Exception as error:
        wrong = wrong or f"load: {type(error).__name__}: {error}"
    return outcome or "wrong", wrong


SUSPECT = ("os.system", "os.exec", "os.posix_spawn", "subprocess.Popen", "socket.connect", "ctypes.dlopen")
_watched: list[list[str]] = []


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if _watched and (event in SUSPECT or (event == "import" and not str(args[0]).startswith("tunedsl"))):
        _watched[-1].append(f"{event} {args[:2]!r:.80}")


@contextmanager
def watched() -> Iterator[list[str]]:
    """Records code that runs or imports something, and interrupts hangs."""
    if not getattr(sys, "_tunedsl_fuzz", False):
        sys.addaudithook(_audit)
        sys._tunedsl_fuzz = True  # type: ignore[attr-defined]  # hooks cannot be removed: one is enough

    def hang(number: int, frame: Any) -> None:
        raise TimeoutError(f"hangs for {SECONDS} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    _watched.append([])
    try:
        yield _watched[-1]
    finally:
        _watched.pop()
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz(count: int, seed: int, folder: Path, start: int = 0) -> tuple[collections.Counter[str], list[str]]:
    """Judges a number of cases; returns the outcomes, and the faults with the command that repeats each."""
    for name in NAMES:  # what reading imports is imported now
        digests_of(name)
        judge(GOLDEN / f"{name}.jsonl", name, False)
    file_system("memory://fuzz")
    outcomes: collections.Counter[str] = collections.Counter()
    wrongs = []
    for number in range(start, start + count):
        name, layout, change, files, taken = case(seed, number)
        place = lay_down(files, layout, folder / "case")
        with watched() as run:
            outcome, wrong = judge(place, name, taken)
        if run:
            wrong = wrong or f"ran code: {run}"
        outcomes[f"{change}: {outcome}"] += 1
        if wrong:
            repeat = f"python -m tests.replay.fuzz --seed {seed} --start {number} --count 1"
            wrongs.append(f"case {number} ({name}, {layout}, {change}): {wrong}; {repeat}")
    return outcomes, wrongs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0)
    asked = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryDirectory() as folder:
        outcomes, wrongs = fuzz(asked.count, asked.seed, Path(folder), asked.start)
    for outcome, times in sorted(outcomes.items()):
        print(f"{times:6d} {outcome}")
    print("\n".join(wrongs))
    print(f"{asked.count} cases of seed {asked.seed}, {len(wrongs)} wrong")
    sys.exit(bool(wrongs))


if __name__ == "__main__":
    main()
