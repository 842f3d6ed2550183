"""What saving a class would do to the waiting dead letters: the same rules, but nothing is written."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from datetime import datetime
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.flows.dead_letters.change_error_classes import Proposal, check_patterns, stands_for_others
from holdfast.flows.dead_letters.classify_dead_letters import BATCH_MAX_ROWS, active_classes, place
from holdfast.payments.dead_letters import WAITING
from holdfast.payments.error_classes import ErrorClass, Failure, first_match
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound
from holdfast.values.ids import uuid7

SAMPLE_MAX_ROWS: Final = 20


def try_error_class(
    runtime: Runtime, caller: Caller, proposal: Proposal, replaces: UUID | None, now: datetime
) -> dict[str, Any]:
    """Return which waiting dead letters the class would match, and how many would move, if it were saved now.

    ``replaces`` is the class that the proposal changes. Raises NotFound for a class that does not exist, or
    InvalidInput.
    """
    check_patterns(proposal)
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.TEST_ERROR_CLASS)
        proposed, classes = _with(transaction, proposal, replaces)
        matching = moving = looked_at = 0
        sample: list[dict[str, Any]] = []
        for row in _waiting(transaction):
            looked_at += 1
            failure = Failure(row["event_type"], row["gateway"], row["failure_code"], row["failure_reason"])
            found = first_match(classes, failure)
            placed = place(found, now, replays=row["replays"], is_assigned=row["assigned_to"] is not None)
            moving += (placed.class_id, placed.status) != (row["error_class_id"], row["status"])
            if found is proposed:
                matching += 1
                if len(sample) < SAMPLE_MAX_ROWS:
                    sample.append(plain({name: row[name] for name in _TOLD}))
    return {"looked_at": looked_at, "matching": matching, "moving": moving, "sample": sample}


_TOLD: Final = (
    "id", "event_type", "gateway", "failure_code", "failure_reason", "status", "priority", "error_class_id",
)  # fmt: skip


def _with(transaction: Transaction, proposal: Proposal, replaces: UUID | None) -> tuple[ErrorClass, list[ErrorClass]]:
    """Return the proposed class, and all classes that would be active with it."""
    others = active_classes(transaction)
    own = None
    if replaces is not None:
        own = transaction.row(
            "SELECT match_order FROM payments.error_classes WHERE organization_id = :organization_id AND id = :id",
            organization_id=transaction.tenant,
            id=replaces,
        )
        if own is None:
            raise NotFound("there is no such error class")
    known = next((each for each in others if each.id == replaces), None)
    wanted = proposal.match_order or (own.match_order if own is not None else None)
    proposed = ErrorClass(
        id=replaces or uuid7(transaction.now),
        match_order=0,
        event_type=proposal.event_type,
        gateway_pattern=proposal.gateway_pattern,
        failure_code_pattern=proposal.failure_code_pattern,
        message_keywords=proposal.message_keywords,
        auto_replay_enabled=False,
        auto_replay_delay_seconds=proposal.auto_replay_delay_seconds,
        min_confidence=Decimal(str(proposal.min_confidence)),
        successful_replays=0,
        failed_replays=0,
        cooldown_until=None,
    )
    if known is not None and not stands_for_others(asdict(known), asdict(proposal)):
        proposed = replace(known, match_order=0, min_confidence=proposed.min_confidence)
        proposed = replace(proposed, auto_replay_enabled=known.auto_replay_enabled and proposed.has_earned_auto_replay)
    rest = [each for each in others if each.id != replaces]
    before = [each for each in rest if wanted is None or each.match_order < wanted]
    behind = [each for each in rest if wanted is not None and each.match_order >= wanted]
    ordered = [*before, proposed, *behind]
    numbered = [replace(each, match_order=number) for number, each in enumerate(ordered, start=1)]
    return numbered[len(before)], numbered


def _waiting(transaction: Transaction) -> Iterator[Mapping[str, Any]]:
    """Yield the dead letters that saving would look at, page by page."""
    for status in sorted(WAITING):
        after: tuple[int, UUID] = (0, UUID(int=0))
        while True:
            rows = records(
                transaction.rows(
                    """
                    SELECT id, urgency, event_type, gateway, failure_code, failure_reason, error_class_id, replays,
                           assigned_to, status, priority
                      FROM payments.dead_letters
                     WHERE organization_id = :organization_id AND status = :status AND (urgency, id) > (:urgency, :id)
                       AND (replay_lease_until IS NULL
                            OR (replay_lease_until <= :now AND status <> 'auto_replay_scheduled'))
                     ORDER BY urgency, id LIMIT :limit
                    """,
                    organization_id=transaction.tenant,
                    status=status,
                    urgency=after[0],
                    id=after[1],
                    limit=BATCH_MAX_ROWS,
                    now=transaction.now,
                )
            )
            if not rows:
                break
            yield from rows
            after = (rows[-1]["urgency"], rows[-1]["id"])
