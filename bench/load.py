"""A light generator of HTTP load: keep-alive connections on one event loop, with one request in flight on each."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import uvloop


@dataclass(slots=True)
class Load:
    """The results of a load."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """The CPU seconds of the generator itself."""
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    bytes_read: int = 0
    """The bytes of the answers' bodies."""
    refusal: bytes = b""
    """The last body of an answer that was no success, to see what went wrong."""


def generate(
    url: str, request: Callable[[], bytes], *, clients: int, seconds: float, per_second: float | None = None
) -> Load:
    """Send ``request()`` from every client again and again. A request that has begun is waited for.

    With ``per_second`` the clients together keep to that pace, and a latency counts from when its request was due: a
    request that had to wait for a slow one before it is slow too.
    """
    load = Load()
    begin, cpu = time.perf_counter(), time.process_time()
    interval = None if per_second is None else clients / per_second
    uvloop.run(_all(url, request, clients, begin + seconds, interval, load))
    load.seconds, load.cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    return load


async def _all(
    url: str, request: Callable[[], bytes], clients: int, end: float, interval: float | None, load: Load
) -> None:
    begin = time.perf_counter()
    starts = [begin + (interval or 0.0) * number / clients for number in range(clients)]
    await asyncio.gather(*(_client(url, request, start, end, interval, load) for start in starts))


async def _client(
    url: str, request: Callable[[], bytes], start: float, end: float, interval: float | None, load: Load
) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    due = start
    try:
        while True:
            if interval is not None:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
            begin = time.perf_counter() if interval is None else due
            if begin >= end:
                break
            due += interval or 0.0
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            load.latencies.append(time.perf_counter() - begin)
            load.bytes_read += length
            status = int(head[9:12])
            load.statuses[status] += 1
            if not 200 <= status < 300:
                load.refusal = body
    finally:
        writer.close()
