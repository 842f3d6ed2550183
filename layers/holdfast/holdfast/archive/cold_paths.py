"""Object names in cold storage, partitioned by organization and month as query engines expect it."""

from datetime import date
from uuid import UUID


def file_path(organization_id: UUID, month: date, file_id: UUID) -> str:
    """Return the name of a Parquet file."""
    return f"orders/{_partition(organization_id, month)}/{file_id}.parquet"


def manifest_path(organization_id: UUID, month: date, file_id: UUID) -> str:
    """Return the name of a file's manifest: what the file holds, and how to prove it.

    Manifests are kept apart from the files, so that no query engine takes one for a file.
    """
    return f"manifests/{_partition(organization_id, month)}/{file_id}.json"


def manifests_prefix(organization_id: UUID) -> str:
    """Return the prefix of the names of an organization's manifests."""
    return f"manifests/organization_id={organization_id}/"


def head_path(organization_id: UUID, position: int, root: str) -> str:
    """Return the name of a head of the chain. It says everything, so listing the heads is enough to read them."""
    return f"{heads_prefix(organization_id)}{position:012d}-{root}.json"


def heads_prefix(organization_id: UUID) -> str:
    """Return the prefix of the names of the heads of an organization's chain."""
    return f"chain/organization_id={organization_id}/"


def _partition(organization_id: UUID, month: date) -> str:
    return f"organization_id={organization_id}/month={month:%Y-%m}"
