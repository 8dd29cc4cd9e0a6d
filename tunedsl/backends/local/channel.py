"""Frames of bytes over a socket between the driver and a worker process."""

from __future__ import annotations

import socket
import struct
from typing import Final

_LENGTH: Final = struct.Struct("!Q")
_CHUNK: Final = 2**18


class Channel:
    """One end of a connection. The driver's end never waits for a worker that does not read.

    Args:
        end: a connected socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received = bytearray()
        self._unsent = bytearray()

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close this end."""
        self._socket.close()

    def send(self, frame: bytes) -> None:
        """Send a frame without waiting; `flush` sends the part that the connection cannot take now."""
        self._unsent += _LENGTH.pack(len(frame)) + frame
        self.flush()

    def flush(self) -> bool:
        """Send the remaining bytes without waiting; return whether all are sent."""
        try:
            while self._unsent:
                del self._unsent[: self._socket.send(self._unsent, socket.MSG_DONTWAIT)]
        except BlockingIOError:
            return False
        except OSError:
            self._unsent.clear()  # the other end is closed
        return True

    def receive(self) -> tuple[list[bytes], bool]:
        """Return the frames that have arrived, without waiting, and whether the other end is closed."""
        closed = False
        try:
            while chunk := self._socket.recv(_CHUNK, socket.MSG_DONTWAIT):
                self._received += chunk
            closed = True
        except BlockingIOError:
            pass
        except OSError:
            closed = True
        return self._frames(), closed

    def send_all(self, frame: bytes) -> None:
        """Send a frame, and wait until all of it is sent."""
        self._socket.sendall(_LENGTH.pack(len(frame)) + frame)

    def wait(self) -> list[bytes]:
        """Wait for at least one frame; return an empty list when the connection is closed."""
        while not (frames := self._frames()):
            chunk = self._socket.recv(_CHUNK)
            if not chunk:
                return []
            self._received += chunk
        return frames

    def _frames(self) -> list[bytes]:
        """Remove and return the complete frames."""
        frames: list[bytes] = []
        at = 0
        while len(self._received) - at >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._received, at)
            end = at + _LENGTH.size + length
            if len(self._received) < end:
                break
            frames.append(bytes(self._received[at + _LENGTH.size : end]))
            at = end
        del self._received[:at]
        return frames
