"""Many files that are appended to, of which only a few are open at a time."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import IO, Final

MAX_OPEN: Final = 64


class AppendOnlyFiles:
    """Appends to files; the first time that it meets one, what stood there is dropped."""

    def __init__(self) -> None:
        self._open: OrderedDict[Path, IO[bytes]] = OrderedDict()
        self._met: set[Path] = set()

    def write(self, path: Path, content: bytes) -> None:
        """Appends to a file; its folder is there."""
        file = self._open.get(path)
        if file is None:
            file = self._open[path] = path.open("ab" if path in self._met else "wb")
            self._met.add(path)
            if len(self._open) > MAX_OPEN:
                self._open.popitem(last=False)[1].close()
        else:
            self._open.move_to_end(path)
        file.write(content)

    def has(self, path: Path) -> bool:
        """Whether something was written to a file."""
        return path in self._met

    def done(self, path: Path) -> None:
        """Closes a file."""
        file = self._open.pop(path, None)
        if file is not None:
            file.close()

    def flush(self) -> None:
        """Hands everything to the operating system."""
        for file in self._open.values():
            file.flush()

    def close(self) -> None:
        """Closes all files."""
        for path in list(self._open):
            self.done(path)
