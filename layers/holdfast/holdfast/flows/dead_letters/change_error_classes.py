"""Create, change, order and retire error classes. Each change reclassifies the waiting dead letters at once."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.dead_letters.classify_dead_letters import hold_classes, reclassify_waiting
from holdfast.flows.dead_letters.list_error_classes import CLASSES_MAX, auto_replay_lacks, class_view
from holdfast.payments.error_classes import has_earned_auto_replay, is_like_pattern
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import Conflict, InvalidInput, NotFound
from holdfast.values.ids import uuid7


@dataclass(frozen=True, slots=True)
class Proposal:
    """A class as somebody wants it.

    With ``match_order`` ``None`` an existing class stays where it is, and a new one goes behind all others.
    """

    class_name: str
    description: str | None
    match_order: int | None
    event_type: str | None
    gateway_pattern: str | None
    failure_code_pattern: str | None
    message_keywords: tuple[str, ...]
    auto_replay_delay_seconds: int
    min_confidence: float


def create_error_class(runtime: Runtime, caller: Caller, proposal: Proposal, now: datetime) -> dict[str, Any]:
    """Create a class; return it and how many waiting dead letters moved. A taken place moves the others back.

    Raises InvalidInput, or Conflict if the name is taken or there are too many classes.
    """
    check_patterns(proposal)

    def work(transaction: Transaction) -> dict[str, Any]:
        _begin(transaction, caller, Operation.CREATE_ERROR_CLASS)
        classes = _all(transaction)
        if len(classes) >= CLASSES_MAX:
            raise Conflict(f"a shop has at most {CLASSES_MAX} error classes")
        _refuse_taken_name(classes, proposal.class_name, None)
        made = uuid7(now)
        last = max((each["match_order"] for each in classes), default=0)
        place = _make_room(transaction, classes, proposal.match_order or last + 1, None)
        transaction.execute(
            """
            INSERT INTO payments.error_classes
                (organization_id, id, match_order, class_name, description, event_type, gateway_pattern,
                 failure_code_pattern, message_keywords, auto_replay_delay_seconds, min_confidence, created_by,
                 created_at)
            VALUES (:organization_id, :id, :match_order, :class_name, :description, :event_type, :gateway_pattern,
                    :failure_code_pattern, CAST(:message_keywords AS text[]), :auto_replay_delay_seconds,
                    CAST(:min_confidence AS numeric), :actor, :now)
            """,
            **_values(proposal, transaction, made, place),
            actor=caller.actor,
            now=now,
        )
        return _saved(transaction, made)

    return _run(runtime, caller, work, now)


def change_error_class(
    runtime: Runtime,
    caller: Caller,
    error_class_id: UUID,
    proposal: Proposal,
    *,
    version: int,
    active: bool,
    now: datetime,
) -> dict[str, Any]:
    """Replace the class's definition; return it and how many waiting dead letters moved.

    A class with other criteria stands for other failures: its replay counts are reset, and it no longer replays
    automatically. Raises NotFound, InvalidInput, or Conflict (a stale version, a taken name).
    """
    check_patterns(proposal)

    def work(transaction: Transaction) -> dict[str, Any]:
        _begin(transaction, caller, Operation.CHANGE_ERROR_CLASS)
        classes = _all(transaction)
        before = _seen(classes, error_class_id, version)
        _refuse_taken_name(classes, proposal.class_name, error_class_id)
        place = _make_room(transaction, classes, proposal.match_order or before["match_order"], error_class_id)
        other = stands_for_others(before, asdict(proposal))
        successes, failures = (0, 0) if other else (before["successful_replays"], before["failed_replays"])
        earned = has_earned_auto_replay(successes, failures, _percent(proposal.min_confidence))
        transaction.execute(
            """
            UPDATE payments.error_classes
               SET match_order = :match_order, class_name = :class_name, description = :description,
                   event_type = :event_type, gateway_pattern = :gateway_pattern,
                   failure_code_pattern = :failure_code_pattern,
                   message_keywords = CAST(:message_keywords AS text[]),
                   auto_replay_delay_seconds = :auto_replay_delay_seconds,
                   min_confidence = CAST(:min_confidence AS numeric), active = :active,
                   auto_replay_enabled = auto_replay_enabled AND :may_replay,
                   successful_replays = :successes, failed_replays = :failures, version = version + 1
             WHERE organization_id = :organization_id AND id = :id
            """,
            **_values(proposal, transaction, error_class_id, place),
            active=active,
            may_replay=earned and active,
            successes=successes,
            failures=failures,
        )
        return _saved(transaction, error_class_id)

    return _run(runtime, caller, work, now)


def deactivate_error_class(
    runtime: Runtime, caller: Caller, error_class_id: UUID, version: int, now: datetime
) -> dict[str, Any]:
    """Retire a class: it matches nothing any more and replays nothing automatically. Raises NotFound or Conflict."""

    def work(transaction: Transaction) -> dict[str, Any]:
        _begin(transaction, caller, Operation.DEACTIVATE_ERROR_CLASS)
        _seen(_all(transaction), error_class_id, version)
        transaction.execute(
            """
            UPDATE payments.error_classes SET active = false, auto_replay_enabled = false, version = version + 1
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=transaction.tenant,
            id=error_class_id,
        )
        return _saved(transaction, error_class_id)

    return _run(runtime, caller, work, now)


def set_auto_replay(
    runtime: Runtime, caller: Caller, error_class_id: UUID, *, enabled: bool, version: int, now: datetime
) -> dict[str, Any]:
    """Switch auto-replay of a class on or off.

    Raises NotFound, or Conflict for a stale version or a class that has not earned it; the error names what is lacking.
    """

    def work(transaction: Transaction) -> dict[str, Any]:
        _begin(transaction, caller, Operation.SET_AUTO_REPLAY)
        seen = _seen(_all(transaction), error_class_id, version)
        lacks = auto_replay_lacks(seen, now) if enabled else []
        if lacks:
            raise Conflict("the class may not replay by itself: " + "; ".join(lacks), lacks=lacks)
        transaction.execute(
            """
            UPDATE payments.error_classes SET auto_replay_enabled = :enabled, version = version + 1
             WHERE organization_id = :organization_id AND id = :id
            """,
            organization_id=transaction.tenant,
            id=error_class_id,
            enabled=enabled,
        )
        return _saved(transaction, error_class_id)

    return _run(runtime, caller, work, now)


def order_error_classes(runtime: Runtime, caller: Caller, ids: Sequence[UUID], now: datetime) -> dict[str, Any]:
    """Try the classes in this order from now on. Raises Conflict unless each class is named exactly once."""

    def work(transaction: Transaction) -> dict[str, Any]:
        _begin(transaction, caller, Operation.ORDER_ERROR_CLASSES)
        known = {each["id"] for each in _all(transaction)}
        if set(ids) != known or len(ids) != len(known):
            raise Conflict("name every class of the shop once: there are others now", ids=sorted(map(str, known)))
        transaction.execute(
            """
            UPDATE payments.error_classes c SET match_order = wanted.place
              FROM unnest(CAST(:ids AS uuid[])) WITH ORDINALITY AS wanted (id, place)
             WHERE c.organization_id = :organization_id AND c.id = wanted.id AND c.match_order <> wanted.place
            """,
            organization_id=transaction.tenant,
            ids=[str(each) for each in ids],
        )
        moved = reclassify_waiting(transaction)
        classes = [class_view(transaction, each) for each in ids]
        return {"error_classes": classes, "reclassified": moved.changed}

    return _run(runtime, caller, work, now)


def check_patterns(proposal: Proposal) -> None:
    """Raise InvalidInput for a pattern that PostgreSQL would not accept either."""
    errors = [
        {"field": name, "message": "ends with its escape character"}
        for name in ("gateway_pattern", "failure_code_pattern")
        if not is_like_pattern(getattr(proposal, name) or "")
    ]
    if errors:
        raise InvalidInput("a pattern cannot be read", errors=errors)


def stands_for_others(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Return whether the changed criteria stand for other failures than before."""
    return any(before[name] != after[name] for name in ("event_type", "gateway_pattern", "failure_code_pattern")) or (
        list(before["message_keywords"]) != list(after["message_keywords"])
    )


def _run(
    runtime: Runtime, caller: Caller, work: Callable[[Transaction], dict[str, Any]], now: datetime
) -> dict[str, Any]:
    return runtime.database.transact(caller.organization_id, work, now=now, actor=caller.actor)


def _begin(transaction: Transaction, caller: Caller, operation: Operation) -> None:
    """Check access, and lock the classes: until the end nobody else changes them or buries an event by them."""
    require(transaction, caller, operation)
    hold_classes(transaction, to_change=True)


def _all(transaction: Transaction) -> list[Mapping[str, Any]]:
    return records(
        transaction.rows(
            """
            SELECT id, match_order, active, class_name, event_type, gateway_pattern, failure_code_pattern,
                   message_keywords, min_confidence, successful_replays, failed_replays, confidence, cooldown_until,
                   version
              FROM payments.error_classes WHERE organization_id = :organization_id ORDER BY match_order
            """,
            organization_id=transaction.tenant,
        )
    )


def _seen(classes: Sequence[Mapping[str, Any]], error_class_id: UUID, version: int) -> Mapping[str, Any]:
    found = next((each for each in classes if each["id"] == error_class_id), None)
    if found is None:
        raise NotFound("there is no such error class")
    if found["version"] != version:
        raise Conflict("the class changed since you looked at it: look again", version=found["version"])
    return found


def _refuse_taken_name(classes: Sequence[Mapping[str, Any]], name: str, own: UUID | None) -> None:
    other = next((each for each in classes if each["class_name"] == name and each["id"] != own), None)
    if other is not None:
        raise Conflict("another class has this name", error_class_id=str(other["id"]))


def _make_room(transaction: Transaction, classes: Sequence[Mapping[str, Any]], place: int, own: UUID | None) -> int:
    """Return the place after making it free: the class that has it and all behind it move back by one."""
    if any(each["match_order"] == place and each["id"] != own for each in classes):
        transaction.execute(
            """
            UPDATE payments.error_classes SET match_order = match_order + 1
             WHERE organization_id = :organization_id AND match_order >= :place
            """,
            organization_id=transaction.tenant,
            place=place,
        )
    return place


def _values(proposal: Proposal, transaction: Transaction, error_class_id: UUID, place: int) -> dict[str, Any]:
    return asdict(proposal) | {
        "organization_id": transaction.tenant,
        "id": error_class_id,
        "match_order": place,
        "message_keywords": list(proposal.message_keywords),
        "min_confidence": str(_percent(proposal.min_confidence)),
    }


def _saved(transaction: Transaction, error_class_id: UUID) -> dict[str, Any]:
    moved = reclassify_waiting(transaction)
    return {"error_class": class_view(transaction, error_class_id), "reclassified": moved.changed}


def _percent(number: float) -> Decimal:
    """Convert to a decimal with one digit, as the column has it."""
    return Decimal(str(number)).quantize(Decimal("0.1"))
