"""A small HTTP/1.1 client for webhooks: persistent connections, POST only, one deadline for the whole exchange."""

import asyncio
from collections import defaultdict
from typing import Final
from urllib.parse import urlsplit

import httptools

_IDLE_CONNECTIONS_MAX: Final = 32
_READ_BYTES: Final = 65536

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Answer:
    """Receives the callbacks of httptools' parser."""

    def __init__(self) -> None:
        self.complete = False
        self.body = b""

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = True


class HttpClient:
    """Posts bytes and returns the status code and body of the answer. Raises ``OSError`` when there is no answer."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[str, int, bool], list[Connection]] = defaultdict(list)

    async def post(self, url: str, headers: dict[str, str], body: bytes, timeout_seconds: float) -> tuple[int, bytes]:
        """Return the answer's status code and body. A kept connection that turns out to be closed is replaced once."""
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._post(url, headers, body)
        except (TimeoutError, httptools.HttpParserError) as error:
            raise OSError(f"no answer from {url}: {type(error).__name__}") from error

    async def close(self) -> None:
        """Close every idle connection."""
        for connections in self._idle.values():
            for _, writer in connections:
                writer.close()
        self._idle.clear()

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        parts = urlsplit(url)
        tls = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if tls else 80)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
        idle = self._idle[host, port, tls]
        while idle:
            connection = idle.pop()
            try:
                return await self._exchange(connection, request, idle)
            except OSError:
                continue
        return await self._exchange(await asyncio.open_connection(host, port, ssl=tls or None), request, idle)

    async def _exchange(self, connection: Connection, request: bytes, idle: list[Connection]) -> tuple[int, bytes]:
        reader, writer = connection
        answer = _Answer()
        parser = httptools.HttpResponseParser(answer)
        kept = False
        try:
            writer.write(request)
            while not answer.complete:
                data = await reader.read(_READ_BYTES)
                if not data:
                    raise ConnectionResetError("closed before an answer")
                parser.feed_data(data)
            kept = parser.should_keep_alive() and len(idle) < _IDLE_CONNECTIONS_MAX
            return int(parser.get_status_code()), answer.body
        finally:
            if kept:
                idle.append(connection)
            else:
                writer.close()
