"""The hashes of the chain, computed independently of the database (see ``archive.merkle_root``) to check it."""

from collections.abc import Sequence
from hashlib import sha256
from uuid import UUID


def checksum(document: str) -> bytes:
    """Return the checksum that the index keeps of a document: the SHA-256 of its UTF-8."""
    return sha256(document.encode()).digest()


def leaf_hash(order_id: UUID, version: int, document_checksum: bytes) -> bytes:
    """Return the leaf of one version of an order."""
    return sha256(b"\x00" + order_id.bytes + version.to_bytes(4, "big", signed=True) + document_checksum).digest()


def merkle_root(leaves: Sequence[bytes]) -> bytes:
    """Return the root of a tree over leaves in the given order. A node without a sibling moves up unchanged."""
    level = list(leaves)
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + level[len(level) // 2 * 2 :]
    return level[0] if level else sha256(b"").digest()


def batch_root(previous: bytes, position: int, batch_id: UUID, orders: int, merkle: bytes) -> bytes:
    """Return a batch's root, over its contents, its position in the chain, and the previous root."""
    header = position.to_bytes(8, "big", signed=True) + batch_id.bytes + orders.to_bytes(4, "big", signed=True)
    return sha256(b"\x02" + previous + header + merkle).digest()
