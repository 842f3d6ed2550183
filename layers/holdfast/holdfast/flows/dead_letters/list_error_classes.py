"""Error classes in the order in which they are tried, and what keeps each from auto-replay."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, plain, records
from holdfast.payments.error_classes import SUCCESSES_MIN, has_earned_auto_replay
from holdfast.runtime import Runtime
from holdfast.tenancy.access import Operation, require
from holdfast.values.caller import Caller
from holdfast.values.errors import NotFound

CLASSES_MAX: Final = 200
"""More than people can tell apart; a dead letter is matched against each of them."""

# A shop has few classes, so the id alone is a sufficient filter.
_CLASSES: Final = """
    SELECT id, class_name, description, match_order, active, event_type, gateway_pattern, failure_code_pattern,
           message_keywords, auto_replay_enabled, auto_replay_delay_seconds, min_confidence, successful_replays,
           failed_replays, confidence, cooldown_until, last_seen_at, created_by, version, created_at, updated_at
      FROM payments.error_classes
     WHERE organization_id = :organization_id AND (CAST(:id AS uuid) IS NULL OR id = :id)
     ORDER BY match_order LIMIT :limit
"""


def list_error_classes(runtime: Runtime, caller: Caller, now: datetime) -> dict[str, Any]:
    """Return all classes of the organization by match order, inactive ones included."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.LIST_ERROR_CLASSES)
        rows = transaction.rows(_CLASSES, organization_id=transaction.tenant, id=None, limit=CLASSES_MAX)
        return {"error_classes": [_told_class(row, now) for row in records(rows)]}


def find_error_class(runtime: Runtime, caller: Caller, error_class_id: UUID, now: datetime) -> dict[str, Any]:
    """Return one class. Raises NotFound."""
    with runtime.database.transaction(caller.organization_id, now=now, actor=caller.actor) as transaction:
        require(transaction, caller, Operation.FIND_ERROR_CLASS)
        return class_view(transaction, error_class_id)


def class_view(transaction: Transaction, error_class_id: UUID) -> dict[str, Any]:
    """Return a class as the API answers it. Raises NotFound."""
    rows = transaction.rows(_CLASSES, organization_id=transaction.tenant, id=error_class_id, limit=1)
    if not rows:
        raise NotFound("there is no such error class")
    return _told_class(records(rows)[0], transaction.now)


def auto_replay_lacks(row: Mapping[str, Any], now: datetime) -> list[str]:
    """Return, in words, what keeps a class from being switched to auto-replay; empty if nothing does."""
    lacks = []
    successes, failures = row["successful_replays"], row["failed_replays"]
    if not row["active"]:
        lacks.append("the class is out of use")
    if successes < SUCCESSES_MIN:
        lacks.append(f"{successes} replays succeeded, {SUCCESSES_MIN} are needed")
    elif not has_earned_auto_replay(successes, failures, row["min_confidence"]):
        lacks.append(f"its confidence is {row['confidence']} %, {row['min_confidence']} % are needed")
    if row["cooldown_until"] is not None and row["cooldown_until"] > now:
        lacks.append(f"an auto-replay failed: it cools down until {row['cooldown_until'].isoformat()}")
    return lacks


def _told_class(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    lacks = auto_replay_lacks(row, now)
    shown = plain({**row, "message_keywords": list(row["message_keywords"])})
    return shown | {"auto_replay_lacks": lacks}
