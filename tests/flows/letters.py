"""Dead letters that are inserted as a test wants them, where the test is not about how they came to be."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.payments.dead_letters import DeadLetterPriority, DeadLetterStatus, priority_of
from holdfast.payments.group_replays import GroupReplayState
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from holdfast.values.payment_events import EventType
from tests.house import House

REASON = "ConnectionLost: the connection is gone"


def manager(house: House, name: str = "grace", role: str = "manager") -> Caller:
    """Add a member of staff who may work on dead letters."""
    user_id, subject = uuid7(house.clock.now), f"{name}-{house.organization_id.hex[-8:]}"
    house.sql(
        "INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)"
        " VALUES (:id, :subject, 'grace@shop.example', 'Grace', now())",
        id=user_id,
        subject=subject,
    )
    house.sql(
        "INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)"
        " VALUES (:o, :u, :role, now())",
        o=house.organization_id,
        u=user_id,
        role=role,
    )
    return Caller(house.organization_id, CallerKind.STAFF, subject)


def put_letter(
    house: House,
    *,
    event_type: EventType = EventType.CAPTURE_SUCCEEDED,
    status: DeadLetterStatus = DeadLetterStatus.PENDING_CLASSIFICATION,
    priority: DeadLetterPriority | None = None,
    reason: str = REASON,
    failure_code: str | None = None,
    fingerprint: str = "0123456789abcdef",
    gateway: str = "stripe",
    error_class_id: UUID | None = None,
    assigned_to: str | None = None,
    replays: int = 0,
) -> UUID:
    """Insert a dead letter of an event about a payment that does not exist here."""
    house.clock.advance(seconds=1)
    now = house.clock.now
    event_id, letter_id = uuid7(now), uuid7(now)
    account = house.value(
        "SELECT id FROM tenancy.gateway_accounts WHERE organization_id = :o LIMIT 1", o=house.organization_id
    )
    house.sql(
        "INSERT INTO payments.payment_events (organization_id, id, gateway, gateway_account_id, gateway_event_id,"
        " gateway_transaction_id, event_type, gateway_event_type, news, payload, occurred_at, received_at, state,"
        " attempts, next_attempt_at, processed_at)"
        " VALUES (:o, :id, :gateway, :account, :name, 'pi_nowhere', :type, 'any',"
        ' \'{"occurred_at": "2026-01-01T00:00:00+00:00", "amount_minor": 1, "currency": "USD",'
        ' "authorized_minor": null, "captured_minor": 1, "gateway_refund_id": null, "refund_id": null,'
        ' "gateway_dispute_id": null, "authorization_expires_at": null, "failure_code": null,'
        ' "failure_message": null}\', \'{"object": "event"}\', :now, :now,'
        " CASE WHEN :replayed THEN 'processed' ELSE 'dead_lettered' END, 6, :now,"
        " CASE WHEN :replayed THEN CAST(:now AS timestamptz) END)",
        replayed=status is DeadLetterStatus.REPLAYED,
        o=house.organization_id,
        id=event_id,
        gateway=gateway,
        account=account,
        name=f"evt_{event_id.hex}",
        type=event_type,
        now=now,
    )
    house.sql(
        "INSERT INTO payments.dead_letters (organization_id, id, event_id, gateway, event_type, payload,"
        " failure_reason, failure_code, fingerprint, error_class_id, attempts, status, priority, assigned_to,"
        " replay_at, replays, resolved_at, resolution_notes, created_at) VALUES (:o, :id, :event, :gateway, :type,"
        ' \'{"object": "event"}\', :reason, :code, :fingerprint, :class, 6, :status, :priority, :assigned,'
        " CASE WHEN :status = 'auto_replay_scheduled' THEN CAST(:now AS timestamptz) END, :replays,"
        " CASE WHEN :status IN ('replayed', 'discarded') THEN CAST(:now AS timestamptz) END, 'test', :now)",
        o=house.organization_id,
        id=letter_id,
        event=event_id,
        gateway=gateway,
        type=event_type,
        reason=reason,
        code=failure_code,
        fingerprint=fingerprint,
        **{"class": error_class_id},
        status=status,
        priority=priority or priority_of(event_type),
        assigned=assigned_to,
        replays=replays,
        now=now,
    )
    return letter_id


def letter(house: House, letter_id: UUID | str) -> Mapping[str, Any]:
    """Return the row of a dead letter."""
    return house.rows("SELECT * FROM payments.dead_letters WHERE id = :id", id=UUID(str(letter_id)))[0]


def group_replays(house: House) -> list[tuple[GroupReplayState, int, int]]:
    """Return (state, replayed, skipped) of every group replay."""
    rows = house.rows("SELECT state, replayed, skipped FROM payments.group_replays ORDER BY id")
    return [(GroupReplayState(row["state"]), row["replayed"], row["skipped"]) for row in rows]
