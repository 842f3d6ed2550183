"""The heads of a chain that were put away where nobody writes over them: one for each day that it was proven whole,
and one in the manifest of every file of cold storage. Whoever writes another chain into the database has these against
them."""

import io
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from holdfast.archive.cold_paths import head_path, heads_prefix, manifests_prefix
from holdfast.runtime import Runtime
from holdfast.storage.bucket import BucketReader

READERS: Final = 8
"""So many manifests are read at a time."""


@dataclass(frozen=True, slots=True)
class PutAway:
    """What the bucket knows of a chain: the roots by their position, each with the object that says so."""

    roots: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    unreadable: Sequence[str] = ()

    def contradiction(self, position: int, root: bytes) -> str | None:
        """The object that knows another root for this position."""
        return next((key for said, key in self.roots.get(position, ()) if said != root.hex()), None)

    def beyond(self, position: int) -> tuple[int, str] | None:
        """The first position past this one that was put away, and the object that says so."""
        after = min((known for known in self.roots if known > position), default=None)
        return None if after is None else (after, self.roots[after][0][1])


def heads_put_away(runtime: Runtime, organization_id: UUID) -> PutAway:
    """Read every head of an organization's chain that lies in the bucket. Raises Transient."""
    reader = runtime.archive_reader
    roots: dict[int, list[tuple[str, str]]] = defaultdict(list)
    unreadable: list[str] = []
    for key in reader.names(heads_prefix(organization_id)):
        said, _, root = key.rpartition("/")[2].removesuffix(".json").partition("-")
        if said.isdecimal():
            roots[int(said)].append((root, key))
        else:
            unreadable.append(key)
    keys = reader.names(manifests_prefix(organization_id))
    with ThreadPoolExecutor(READERS) as pool:
        for key, heads in zip(keys, pool.map(lambda key: _heads_of(reader, key), keys), strict=True):
            if heads is None:
                unreadable.append(key)
            for position, root in heads or ():
                roots[position].append((root, key))
    return PutAway(roots, sorted(unreadable))


def _heads_of(reader: BucketReader, key: str) -> list[tuple[int, str]] | None:
    """The head that a manifest carries, if there was a chain already; ``None``: it says nothing that can be read."""
    body = io.BytesIO()
    reader.copy_to(key, body)
    try:
        chain = json.loads(body.getvalue())["chain"]
        return [] if chain is None else [(int(chain["position"]), bytes.fromhex(chain["root"]).hex())]
    except (ValueError, KeyError, TypeError):
        return None


def put_head_away(runtime: Runtime, organization_id: UUID, position: int, root: str, now: datetime) -> bool:
    """Keep a head that was proven; whether it was not there yet."""
    head = {
        "head_schema": 1,
        "organization_id": str(organization_id),
        "chain": {"position": position, "root": root},
        "created_at": now.isoformat(),
    }
    body = json.dumps(head, indent=2, sort_keys=True).encode()
    return runtime.archive_bucket.put_if_absent(head_path(organization_id, position, root), body, "application/json")
