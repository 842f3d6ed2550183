"""The heads of a chain that were put away in the bucket, where nobody can overwrite them.

There is one for each day on which the whole chain was proven, and one in the manifest of every cold storage file. They
contradict anybody who writes another chain into the database.
"""

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
"""How many manifests are read concurrently."""


@dataclass(frozen=True, slots=True)
class PutAway:
    """What the bucket says about a chain: the roots by position, each with the key of the object that says so."""

    roots: Mapping[int, Sequence[tuple[str, str]]] = field(default_factory=dict)
    unreadable: Sequence[str] = ()

    def contradiction(self, position: int, root: bytes) -> str | None:
        """Return the key of an object that has another root for this position, if there is one."""
        return next((key for said, key in self.roots.get(position, ()) if said != root.hex()), None)

    def beyond(self, position: int) -> tuple[int, str] | None:
        """Return the first position after this one that was put away, and the key of the object that says so."""
        after = min((known for known in self.roots if known > position), default=None)
        return None if after is None else (after, self.roots[after][0][1])


def heads_put_away(runtime: Runtime, organization_id: UUID) -> PutAway:
    """Read every head of an organization's chain that is in the bucket. Raises Transient."""
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
    """Return the head in a manifest, if there was a chain already, or ``None`` for a manifest that cannot be read."""
    body = io.BytesIO()
    reader.copy_to(key, body)
    try:
        chain = json.loads(body.getvalue())["chain"]
        return [] if chain is None else [(int(chain["position"]), bytes.fromhex(chain["root"]).hex())]
    except (ValueError, KeyError, TypeError):
        return None


def put_head_away(runtime: Runtime, organization_id: UUID, position: int, root: str, now: datetime) -> bool:
    """Put a proven head away. Return whether it was not there yet."""
    head = {
        "head_schema": 1,
        "organization_id": str(organization_id),
        "chain": {"position": position, "root": root},
        "created_at": now.isoformat(),
    }
    body = json.dumps(head, indent=2, sort_keys=True).encode()
    return runtime.archive_bucket.put_if_absent(head_path(organization_id, position, root), body, "application/json")
