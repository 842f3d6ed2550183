"""A TCP proxy in front of PostgreSQL that counts what crosses the network and cuts a connection on demand.

In one round trip the client sends any number of messages at once and waits for the answer. Counting the bytes that
were sent keeps the layers above from miscounting. The messages are those of
https://www.postgresql.org/docs/current/protocol-message-formats.html.
"""

import contextlib
import socket
import threading
from dataclasses import dataclass, field, replace
from typing import Self

from local.postgres import Address

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"


@dataclass(slots=True)
class Cut:
    """Where to cut a connection: at the first bytes from the client that contain ``at``."""

    at: bytes
    deliver: bytes | None
    """The mark up to which the server still receives those bytes; ``None``: all of them, ``b""``: none."""
    spent: bool = False


@dataclass(slots=True)
class Conversation:
    """One connection: the user that logged in, and the statements of every round trip."""

    user: str = ""
    trips: list[list[str]] = field(default_factory=list)
    clients_turn: bool = True
    muted: bool = False
    answered: threading.Event = field(default_factory=threading.Event)
    _unread: bytes = b""
    _parsed: str = ""

    def hear(self, data: bytes) -> None:
        """Take in bytes that the client sent."""
        if self.clients_turn:
            self.trips.append([])
            self.clients_turn = False
        self._unread += data
        while self._read_message():
            pass

    def _read_message(self) -> bool:
        head = 1 if self.user else 0
        if len(self._unread) < head + 4:
            return False
        end = head + int.from_bytes(self._unread[head : head + 4], "big")
        if len(self._unread) < end:
            return False
        kind, body = self._unread[:head], self._unread[head + 4 : end]
        self._unread = self._unread[end:]
        if not self.user:
            words = body[4:].split(b"\0")
            if b"user" in words:  # otherwise it is a request for TLS, which the server declines
                self.user = words[words.index(b"user") + 1].decode()
        elif kind == b"Q":
            self.trips[-1].append(body[:-1].decode())
        elif kind == b"P":
            self._parsed = body.split(b"\0")[1].decode()
        elif kind == b"E":
            self.trips[-1].append(self._parsed)
        return True


class Proxy:
    """Listens on a free port and forwards everything to the server of an address."""

    def __init__(self, target: Address) -> None:
        self.target = target
        self.conversations: list[Conversation] = []
        self.cut: Cut | None = None
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        _close(self._listener)
        for each in self._sockets:
            _close(each)
        for thread in self._threads:
            thread.join(5)

    def of(self, address: Address) -> Address:
        """Return the address as reached through this proxy."""
        return replace(address, host="127.0.0.1", port=self.port)

    def cut_at(self, mark: bytes, *, deliver: bytes | None) -> None:
        """Cut the next connection that sends ``mark``; see ``Cut``."""
        self.cut = Cut(mark, deliver)

    def trips(self, user: str) -> list[list[str]]:
        """Return the statements of every round trip of a role so far, without those of logging in."""
        with self._lock:
            return [
                trip
                for conversation in self.conversations
                if conversation.user == user
                for trip in conversation.trips
                if trip
            ]

    def _start(self, work: object, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection((self.target.host, self.target.port))
                for each in (client, server):
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                conversation = Conversation()
                self.conversations.append(conversation)
                self._start(self._from_client, client, server, conversation)
                self._start(self._from_server, server, client, conversation)

    def _from_client(self, client: socket.socket, server: socket.socket, conversation: Conversation) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                with self._lock:
                    conversation.hear(data)
                    cut = self.cut
                    hit = cut is not None and not cut.spent and cut.at in data
                    if hit and cut is not None:
                        cut.spent = True
                if hit and cut is not None:
                    conversation.muted = True
                    kept = data if cut.deliver is None else data[: data.index(cut.deliver)]
                    if kept:
                        # Once the server has answered, it has done its work; the client never gets that answer.
                        server.sendall(kept)
                        conversation.answered.wait(5)
                    _close(client)
                    break
                server.sendall(data)
        _close(server)

    def _from_server(self, server: socket.socket, client: socket.socket, conversation: Conversation) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                with self._lock:
                    conversation.clients_turn = True
                if conversation.muted:
                    conversation.answered.set()
                else:
                    client.sendall(data)
        _close(client)


def _close(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
