"""The organizations whose archives are worked on, and their policies."""

import logging
from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from holdfast.archive.policy import ArchivePolicy, ReconciliationType, policy_from
from holdfast.runtime import Runtime

_logger = logging.getLogger(__name__)


def organizations(runtime: Runtime, now: datetime, actor: str) -> Iterator[tuple[UUID, ArchivePolicy]]:
    """Yield every organization with its policy. One whose settings make no sense is left out, which is logged."""
    with runtime.database.transaction(None, now=now, actor=actor) as transaction:
        rows = transaction.rows("SELECT o.id, o.settings FROM tenancy.organizations o ORDER BY o.id")
    for row in rows:
        try:
            policy = policy_from(row.settings)
        except (TypeError, ValueError):
            _logger.exception("the archive settings of organization %s cannot be read", row.id)
            continue
        yield row.id, policy


def least_recently_looked_at(
    runtime: Runtime, now: datetime, actor: str, kind: ReconciliationType
) -> list[tuple[UUID, datetime | None]]:
    """Return every organization with the time of its last complete look of this kind, in order of need.

    An organization without a complete look has the time of its first one that was cut short, or ``None``. Those with
    ``None`` come first, then the oldest times.
    """
    found: list[tuple[UUID, datetime | None]] = []
    for organization_id, _ in organizations(runtime, now, actor):
        with runtime.database.transaction(organization_id, now=now, actor=actor) as transaction:
            since = transaction.value(
                """
                SELECT COALESCE(
                    (SELECT r.created_at FROM archive.reconciliation_log r
                      WHERE r.organization_id = :o AND r.type = :kind AND r.is_complete ORDER BY r.id DESC LIMIT 1),
                    (SELECT r.created_at FROM archive.reconciliation_log r
                      WHERE r.organization_id = :o AND r.type = :kind ORDER BY r.id LIMIT 1))
                """,
                o=organization_id,
                kind=kind,
            )
        found.append((organization_id, since))
    return sorted(found, key=lambda each: (each[1] is not None, each[1] or now))
