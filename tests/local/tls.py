"""TLS in front of a PostgreSQL that has none, as a managed cluster answers: the embedded server is built without it."""

import select
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from local.postgres import Address

SSL_REQUEST: Final = bytes.fromhex("0000000804d2162f")
"""The first message of a client that wants TLS: its length, and a code in the place of a version."""
CHUNK_BYTES: Final = 65_536


@contextmanager
def tls_in_front_of(server: Address, certificate: Path) -> Iterator[int]:
    """Yield the port of 127.0.0.1 at which the server speaks TLS, and nothing else, with a certificate and its key."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    class Session(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            if self.request.recv(len(SSL_REQUEST)) != SSL_REQUEST:
                return
            self.request.sendall(b"S")
            with (
                suppress(OSError),  # a client that trusts no such certificate
                context.wrap_socket(self.request, server_side=True) as client,
                socket.create_connection((server.host, server.port)) as behind,
            ):
                _pass_on(client, behind)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Session) as front:
        thread = threading.Thread(target=front.serve_forever)
        thread.start()
        try:
            yield int(front.server_address[1])
        finally:
            front.shutdown()
            thread.join()


def _pass_on(client: ssl.SSLSocket, behind: socket.socket) -> None:
    """Pass on what either says until one of them has hung up."""
    while True:
        ready = [client] if client.pending() else select.select([client, behind], [], [])[0]
        for speaker in ready:
            if not (chunk := speaker.recv(CHUNK_BYTES)):
                return
            (behind if speaker is client else client).sendall(chunk)
