"""Storage servers on loopback that tests can take away and bring back: S3 by moto, SFTP by paramiko."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class S3:
    """An S3-compatible server; what was stored stays while it is away."""

    protocol = "s3"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.bucket = f"bucket-{secrets.token_hex(4)}"
        self.address = f"s3://{self.bucket}/tuning"
        self.conf: dict[str, Any] = {"endpoint_url": f"http://127.0.0.1:{self.port}", "key": "test", "secret": "test"}
        self.conf["config_kwargs"] = {"retries": {"max_attempts": 1}, "connect_timeout": 2}
        self._server: Any = None

    def start(self) -> None:
        from moto.server import ThreadedMotoServer

        self._server = ThreadedMotoServer("127.0.0.1", self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()
            self._server = None

    def prepare(self) -> None:
        """Makes the bucket."""
        import fsspec

        fsspec.filesystem("s3").mkdir(self.bucket)


class SFTP:
    """An SFTP server over a local folder; taking it away cuts every connection."""

    protocol = "sftp"

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder
        self.address = f"sftp://127.0.0.1:{self.port}/tuning"
        self.conf = {"username": "test", "password": "test", "allow_agent": False, "look_for_keys": False}
        self._socket: socket.socket | None = None
        self._transports: list[Any] = []
        self._over = threading.Event()

    def start(self) -> None:
        import paramiko

        self._key = getattr(self, "_key", None) or paramiko.RSAKey.generate(2048)
        self._over = threading.Event()
        self._socket = socket.create_server(("127.0.0.1", self.port), backlog=20)
        threading.Thread(target=self._serve, args=(self._socket, self._over), daemon=True).start()

    def stop(self) -> None:
        self._over.set()
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            self._socket.close()
            self._socket = None
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def prepare(self) -> None:
        """Nothing is needed."""

    def _serve(self, listener: socket.socket, over: threading.Event) -> None:
        import paramiko

        while not over.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self._key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, _files(self.folder))
            self._transports.append(transport)
            with contextlib.suppress(Exception):
                transport.start_server(server=_login())


def _login() -> Any:
    import paramiko

    class Login(paramiko.ServerInterface):
        def check_auth_password(self, username: str, password: str) -> int:
            return paramiko.AUTH_SUCCESSFUL if (username, password) == ("test", "test") else paramiko.AUTH_FAILED

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.OPEN_SUCCEEDED

        def get_allowed_auths(self, username: str) -> str:
            return "password"

    return Login()


def _files(folder: Path) -> Any:
    import paramiko

    def told(error: OSError) -> int:
        return paramiko.SFTPServer.convert_errno(error.errno)

    class Handle(paramiko.SFTPHandle):
        def stat(self) -> Any:
            return paramiko.SFTPAttributes.from_stat(os.fstat(self.readfile.fileno()))

    class Files(paramiko.SFTPServerInterface):
        def _at(self, path: str) -> str:
            return str(folder) + self.canonicalize(path)

        def list_folder(self, path: str) -> Any:
            try:
                names = os.listdir(self._at(path))
                found = []
                for name in names:
                    item = paramiko.SFTPAttributes.from_stat(os.stat(os.path.join(self._at(path), name)))
                    item.filename = name
                    found.append(item)
                return found
            except OSError as error:
                return told(error)

        def stat(self, path: str) -> Any:
            try:
                return paramiko.SFTPAttributes.from_stat(os.stat(self._at(path)))
            except OSError as error:
                return told(error)

        lstat = stat

        def open(self, path: str, flags: int, attr: Any) -> Any:
            try:
                file = os.open(self._at(path), flags, 0o644)
            except OSError as error:
                return told(error)
            mode = "wb" if flags & os.O_WRONLY else "r+b" if flags & os.O_RDWR else "rb"
            handle = Handle(flags)
            handle.filename = self._at(path)
            handle.readfile = handle.writefile = os.fdopen(file, mode)
            return handle

        def _do(self, work: Any, *paths: str) -> int:
            try:
                work(*map(self._at, paths))
            except OSError as error:
                return told(error)
            return paramiko.SFTP_OK

        def remove(self, path: str) -> int:
            return self._do(os.remove, path)

        def rename(self, old: str, new: str) -> int:
            return self._do(os.rename, old, new)

        def posix_rename(self, old: str, new: str) -> int:
            return self._do(os.replace, old, new)

        def mkdir(self, path: str, attr: Any) -> int:
            return self._do(os.mkdir, path)

        def rmdir(self, path: str) -> int:
            return self._do(os.rmdir, path)

    return Files
