"""Who may ask what: hosts, origins, tokens, sessions and limits, checked before a request reaches a route.

A page of another site can make a browser send requests here. So each request names an allowed host, and one that
changes something comes from this page: same origin, JSON, and a secret that only this page can read.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import socket
import time
from collections import deque
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tunedsl.base.errors import TunedslError

MAX_BODY: Final = 256 * 1024
"""Bytes of a request."""
MAX_TARGET: Final = 8 * 1024
"""Bytes of a request's path and query."""
MAX_FAILURES: Final = 10
"""Wrong tokens in `FAILURE_SECONDS`, after which all tokens are refused for a while."""
FAILURE_SECONDS: Final = 60.0
MIN_TOKEN: Final = 16
"""Characters of a token for another host than this one."""
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
CSRF_HEADER: Final = "x-tunedsl-csrf"
OPEN_PATHS: Final = ("/login", "/api/login")
"""Paths that need no session, besides those under `/static/`."""
HEADERS: Final = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


@attrs.define
class Access:
    """Who may use a dashboard.

    Attributes:
        host: the address that it listens on.
        port: its port; cookies of several dashboards on one host are told apart by it.
        token: the secret that a reader must know, or None on this machine alone.
        read_only: whether nothing can be changed.
        hosts: further names under which it may be reached.
    """

    host: str = "127.0.0.1"
    port: int = 8265
    token: str | None = attrs.field(default=None, repr=False)
    read_only: bool = False
    hosts: Collection[str] = ()
    _key: bytes = attrs.field(factory=lambda: secrets.token_bytes(32), init=False, repr=False)
    _failures: deque[float] = attrs.field(factory=lambda: deque(maxlen=MAX_FAILURES), init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.token is not None and len(self.token) < MIN_TOKEN and not self.is_local:
            raise TunedslError(
                f"The token has fewer than {MIN_TOKEN} characters.\n  help: --token {secrets.token_urlsafe(24)}"
            )
        if self.token is None and not self.is_local:
            raise TunedslError(
                f"The host {self.host} can be reached by other machines, so the dashboard needs a token.\n"
                f"  help: --token {secrets.token_urlsafe(24)}, or TUNEDSL_DASHBOARD_TOKEN; or --host 127.0.0.1"
            )

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach it."""
        return self.host in LOOPBACK or (_is_ip(self.host) and ipaddress.ip_address(self.host).is_loopback)

    @property
    def cookie(self) -> str:
        """The name of the session's cookie."""
        return f"tunedsl-{self.port}"

    @property
    def session(self) -> str:
        """The value of the session's cookie: it shows knowledge of the token, and ends with this process."""
        return self._signed("session")

    @property
    def csrf(self) -> str:
        """The secret of this page, which requests that change something must repeat."""
        return self._signed("csrf")

    def _signed(self, purpose: str) -> str:
        return hmac.new(self._key, f"{purpose}:{self.token or ''}".encode(), hashlib.sha256).hexdigest()

    def accepts(self, given: str) -> bool | None:
        """Whether a token is right; None when there were too many wrong ones, and all are refused for a while."""
        now = time.monotonic()
        if len(self._failures) == MAX_FAILURES and now - self._failures[0] < FAILURE_SECONDS:
            return None
        if self.token is not None and _equal(given, self.token):
            return True
        self._failures.append(now)
        return False

    def allows_host(self, header: str) -> bool:
        """Whether a request's `Host` is this dashboard: a page that rebinds its own name to this address is not."""
        try:
            name = (urlsplit(f"//{header}").hostname or "").lower()
        except ValueError:
            return False
        if name in LOOPBACK or name in self.hosts or name == self.host.lower():
            return True
        wildcard = self.host in ("0.0.0.0", "::")
        own = (socket.gethostname().lower(), socket.getfqdn().lower()) if wildcard else ()
        return wildcard and (_is_ip(name) or name in own)

    def knows(self, headers: Headers) -> bool:
        """Whether a request shows the token, in a header or by its session."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.accepts(given.strip()) is True
        return _equal(_cookie(headers.get("cookie", ""), self.cookie), self.session)


def _equal(one: str, two: str) -> bool:
    return hmac.compare_digest(one.encode("utf-8", "replace"), two.encode("utf-8", "replace"))


def _cookie(header: str, name: str) -> str:
    try:
        found = SimpleCookie(header[:MAX_TARGET]).get(name)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _is_ip(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class Guard:
    """The middleware that refuses requests, and adds the headers that limit what a page may do.

    Args:
        app: the application behind it.
        access: who may use it.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, content in HEADERS.items():
                    headers[name] = content
                if not scope["path"].startswith("/static/"):
                    headers["cache-control"] = "no-store"
                elif "cache-control" not in headers:
                    headers["cache-control"] = "no-cache"
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, guarded)
            return
        await self._app(scope, _limited(receive), guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path, access = Headers(scope=scope), scope["path"], self._access
        is_change = scope["method"] not in ("GET", "HEAD")
        if is_change and scope["method"] != "POST":
            return refused(405, "The dashboard knows no such method.", allow="GET, HEAD, POST")
        if len(scope["raw_path"] or b"") + len(scope["query_string"]) > MAX_TARGET:
            return refused(414, "The address is too long.")
        if not access.allows_host(headers.get("host", "")):
            return refused(421, "The request names another host. Open the dashboard under the address that it printed.")
        if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none") and (
            is_change or path.startswith("/api/")
        ):
            return refused(403, "The request comes from a page of another site.")
        if is_change:
            wrong = self._wrong_change(headers, path)
            if wrong is not None:
                return wrong
        if path.startswith("/static/") or path in OPEN_PATHS or access.knows(headers):
            return None
        if path.startswith("/api/"):
            return refused(401, "The dashboard needs its token.")
        return RedirectResponse("/login", 303)

    def _wrong_change(self, headers: Headers, path: str) -> Response | None:
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host", ""):
            return refused(403, "The request comes from a page of another site.")
        if headers.get("content-type", "").partition(";")[0].strip() != "application/json":
            return refused(415, "A request that changes something is JSON.")
        if not headers.get("content-length", "").isdecimal():
            return refused(411, "The request does not say its length.")
        if int(headers["content-length"]) > MAX_BODY:
            return refused(413, f"The request has more than {MAX_BODY:,} bytes.")
        if path in OPEN_PATHS:
            return None
        if self._access.knows(headers) and not _equal(headers.get(CSRF_HEADER, ""), self._access.csrf):
            return refused(403, "The request lacks this page's secret. Reload the page.")
        if self._access.read_only:
            return refused(403, "The dashboard is read-only: it was started with --read-only.")
        return None


def _limited(receive: Receive) -> Receive:
    """Receives a body of at most `MAX_BODY` bytes, whatever length it announced."""
    got = 0

    async def limited() -> Message:
        nonlocal got
        message = await receive()
        got += len(message.get("body", b""))
        if got > MAX_BODY:
            return {"type": "http.disconnect"}
        return message

    return limited


def refused(status: int, why: str, **headers: str) -> Response:
    """The response that says why a request is not carried out."""
    return JSONResponse({"error": why}, status, headers)
