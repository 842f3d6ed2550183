"""The organizations whose archives are worked on, and their policies."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from types import TracebackType
from typing import Final, Self
from uuid import UUID

from holdfast.archive.policy import ArchivePolicy, ReconciliationType, policy_from
from holdfast.runtime import Runtime

FAILURES_MAX: Final = 5
"""After so many the cause is no organization's own, and the run ends."""

_logger = logging.getLogger(__name__)


class EachByItself:
    """Work for one organization after another, in which a failure of one does not keep the others waiting.

    Enter it around the loop, and ``organization`` around the work for one; or around the parts of a run, and ``part``
    around each. Failures are logged. The first is raised at the end, so that the run fails and its alarm rings.
    """

    def __init__(self) -> None:
        self._failures: list[Exception] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if error is None and self._failures:
            raise self._failures[0]

    @contextmanager
    def organization(self, organization_id: UUID) -> Iterator[None]:
        """Do the work for one. Raises its error if it is one too many."""
        with self.part(f"organization {organization_id}"):
            yield

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Do one part of a run. Raises its error if it is one too many."""
        try:
            yield
        except Exception as error:
            if len(self._failures) + 1 >= FAILURES_MAX:
                raise
            _logger.exception("the run could not finish %s", name)
            self._failures.append(error)


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
