"""A light generator of HTTP load: keep-alive connections on one event loop, one request in flight on each."""

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
    """What came back."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """CPU of the generator itself."""
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    refusal: bytes = b""
    """One body that was not 201, to see what went wrong."""


def generate(url: str, request: Callable[[], bytes], *, clients: int, seconds: float) -> Load:
    """Send ``request()`` from every client again and again. A request that has begun is waited for."""
    load = Load()
    begin, cpu = time.perf_counter(), time.process_time()
    uvloop.run(_all(url, request, clients, begin + seconds, load))
    load.seconds, load.cpu_seconds = time.perf_counter() - begin, time.process_time() - cpu
    return load


async def _all(url: str, request: Callable[[], bytes], clients: int, end: float, load: Load) -> None:
    await asyncio.gather(*(_client(url, request, end, load) for _ in range(clients)))


async def _client(url: str, request: Callable[[], bytes], end: float, load: Load) -> None:
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        while (begin := time.perf_counter()) < end:
            writer.write(request())
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            body = await reader.readexactly(length)
            load.latencies.append(time.perf_counter() - begin)
            status = int(head[9:12])
            load.statuses[status] += 1
            if status != 201:
                load.refusal = body
    finally:
        writer.close()
