"""What the server lets in: its own page's requests, of a bounded size; nobody else's."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

API = "/gradio_api"
POSTS = (f"{API}/queue/join", f"{API}/call/", f"{API}/cancel", f"{API}/reset")
"""What may be posted: calls. Uploads are not among it, so nothing can be put on the disk."""
_UNUSED = ("deep_link", "dev", "file", "proxy", "run-history", "runs", "stream", "upload", "vibe")
CLOSED = (*(f"{API}/{name}" for name in _UNUSED), "/monitoring")
"""What may not be fetched: routes of Gradio that the page does without."""
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; object-src 'none'; "
    "base-uri 'self'; form-action 'self'; frame-ancestors {frames}"
)
FRAMES = "'self'"


class Guard:
    """ASGI middleware that refuses what does not come from the server's own page.

    - A Host other than this machine's names is refused while only this machine is served, which
      ends attacks by rebinding of names.
    - An Origin other than the Host, and whatever a browser marks as coming from another site (but
      opening the page itself), is refused.
    - A request of more than `limit` bytes is refused before it is read any further.

    Args:
        app: the application behind.
        local: whether only this machine is served.
        names: other host names of this server: pages from there may call it.
        limit: bytes of a request.
        frames: who may show the page in a frame, as a content security policy says it.
    """

    def __init__(
        self,
        app: Application,
        local: bool = True,
        names: Sequence[str] = (),
        limit: int = 2**24,
        frames: str = FRAMES,
    ) -> None:
        self.app, self.local, self.names, self.limit = app, local, tuple(names), limit
        self.added = [
            (b"content-security-policy", POLICY.format(frames=frames).encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
        ]

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with the reason why not."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1"): v.decode("latin-1") for name, v in scope["headers"]}
        refused = self._refusal(scope, headers)
        if refused is not None:
            await _answer(send, *refused)
            return
        if scope["method"] == "POST":
            body = await self._read(receive)
            if body is None:
                await _answer(send, 413, f"The request is larger than {self.limit} bytes.")
                return
            receive = _replay(body, receive)
        await self.app(scope, receive, self._with_headers(scope["path"], send))

    def _refusal(self, scope: Message, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if self.local and not _is_loopback(_name(host)):
            return 403, f"This server answers to this machine's own names, not to {host!r}."
        origin = headers.get("origin")
        if origin is not None and not self._is_own(origin, host):
            return 403, f"Pages of {origin} may not call this server."
        site = headers.get("sec-fetch-site", "none")
        if site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate":
            return 403, "Pages of other sites may not call this server."
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405, "Expected GET, HEAD or POST."
        if scope["method"] == "POST" and not path.startswith(POSTS):
            return 404, "Nothing can be posted here."
        if path.startswith(CLOSED):
            return 404, "This is closed here."
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.limit:
            return 413, f"The request is larger than {self.limit} bytes."
        return None

    def _is_own(self, origin: str, host: str) -> bool:
        named = origin.partition("://")[2]
        return named != "" and (named == host or _name(named) in self.names)

    async def _read(self, receive: Receive) -> bytes | None:
        """The request's body; None where it is too large."""
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return b""
            size += len(message.get("body", b""))
            if size > self.limit:
                return None
            parts.append(message.get("body", b""))
            if not message.get("more_body", False):
                return b"".join(parts)

    def _with_headers(self, path: str, send: Send) -> Send:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = list(self.added)
                if path.startswith(API):
                    added.append((b"cache-control", b"no-store"))
                names = {name for name, _ in added}
                kept = [each for each in message.get("headers", ()) if each[0].lower() not in names]
                message["headers"] = [*kept, *added]
            await send(message)

        return sending


def _name(host: str) -> str:
    """A Host header without its port."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_loopback(name: str) -> bool:
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _replay(body: bytes, receive: Receive) -> Receive:
    """What gives a body that was read already, then what comes after it."""
    pending = [body]

    async def again() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return again


async def _answer(send: Send, status: int, text: str) -> None:
    body = f"{text}\n".encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
