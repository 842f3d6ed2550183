"""Whose archive is worked on, and by which figures."""

import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from holdfast.archive.policy import ArchivePolicy, policy_from
from holdfast.runtime import Runtime

_logger = logging.getLogger(__name__)


def organizations(runtime: Runtime, now: datetime, actor: str) -> Iterator[tuple[UUID, ArchivePolicy]]:
    """Every organization with its policy. One whose settings make no sense is left out, and said to be."""
    with runtime.database.transaction(None, now=now, actor=actor) as transaction:
        rows = transaction.rows("SELECT o.id, o.settings FROM tenancy.organizations o ORDER BY o.id")
    for row in rows:
        try:
            policy = policy_from(row.settings)
        except (TypeError, ValueError):
            _logger.exception("the archive settings of organization %s cannot be read", row.id)
            continue
        yield row.id, policy
