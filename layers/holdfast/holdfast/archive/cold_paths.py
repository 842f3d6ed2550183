"""Where things lie in cold storage: partitioned by organization and month, as query engines expect it."""

from datetime import date
from uuid import UUID


def file_path(organization_id: UUID, month: date, file_id: UUID) -> str:
    """The Parquet file."""
    return f"orders/{_partition(organization_id, month)}/{file_id}.parquet"


def manifest_path(organization_id: UUID, month: date, file_id: UUID) -> str:
    """What the file holds, and how to prove it; apart from the files, so that nobody takes it for one."""
    return f"manifests/{_partition(organization_id, month)}/{file_id}.json"


def manifests_prefix(organization_id: UUID) -> str:
    """What the names of an organization's manifests begin with."""
    return f"manifests/organization_id={organization_id}/"


def head_path(organization_id: UUID, position: int, root: str) -> str:
    """A head of the chain. The name says it all: whoever lists them needs to open none."""
    return f"{heads_prefix(organization_id)}{position:012d}-{root}.json"


def heads_prefix(organization_id: UUID) -> str:
    """What the names of the heads of an organization's chain begin with."""
    return f"chain/organization_id={organization_id}/"


def _partition(organization_id: UUID, month: date) -> str:
    return f"organization_id={organization_id}/month={month:%Y-%m}"
