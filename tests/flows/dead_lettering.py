"""Events that fail for a reason that only the test can cure, and what becomes of them."""

import uuid
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.flows.dead_letters.replay_dead_letter import ReplayResult, replay_dead_letter
from holdfast.payments.model import EventState
from holdfast.payments.retry_policy import RETRIES_MAX
from holdfast.values.ids import uuid7
from tests.flows.actions import authenticate, ordered
from tests.house import House

PERSON = "staff:a-person"
ASKS = "pm_card_authenticationRequired"
_BREAKAGE = """
    CREATE TABLE public.breakage (gateway_event_id text, code text NOT NULL);
    CREATE FUNCTION public.break_event() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    DECLARE broken text := (SELECT b.code FROM public.breakage b
                             WHERE b.gateway_event_id IS NULL OR b.gateway_event_id = NEW.gateway_event_id LIMIT 1);
    BEGIN
        IF broken IS NOT NULL THEN
            RAISE EXCEPTION 'The ledger is closed' USING ERRCODE = '23514', CONSTRAINT = broken;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER break_event BEFORE UPDATE ON payments.payment_events FOR EACH ROW
        WHEN (NEW.state = 'processed') EXECUTE FUNCTION public.break_event();
"""


def break_events(house: House, code: str = "ledger_closed", *, only: str | None = None) -> None:
    """Let no event (or not this one) be marked processed from now on. Its work is rolled back, its attempt is not."""
    if house.value("SELECT to_regclass('public.breakage')") is None:
        house.sql(_BREAKAGE)
    house.sql("INSERT INTO public.breakage VALUES (:only, :code)", only=only, code=code)


def mend_events(house: House) -> None:
    """Repair everything that was broken."""
    house.sql("DELETE FROM public.breakage")


def paid_unheard(house: House) -> Mapping[str, Any]:
    """Place an order whose payment only a stored webhook reports; return that event with the order's id."""
    order_id = ordered(house, token=ASKS)
    authenticate(house, order_id)
    (webhook,) = house.webhooks("payment_intent.succeeded", order_id=order_id)
    house.deliver(webhook)
    return {"order_id": order_id, **event_of(house, webhook["id"])}


def event_of(house: House, gateway_event_id: str) -> Mapping[str, Any]:
    """Return a stored event by its id at the gateway."""
    return house.rows("SELECT * FROM payments.payment_events WHERE gateway_event_id = :id", id=gateway_event_id)[0]


def fail_until_given_up(house: House) -> list[EventState | None]:
    """Let the worker try until nothing is due any more; return what each attempt ended with."""
    states: list[EventState | None] = []
    for _ in range(RETRIES_MAX + 3):
        states += house.work()
        house.clock.advance(minutes=9)
    return states


def buried(house: House) -> Mapping[str, Any]:
    """Break an event until it is given up; return its dead letter with the order's id. The event stays broken."""
    event = paid_unheard(house)
    break_events(house, only=event["gateway_event_id"])
    fail_until_given_up(house)
    return {"order_id": event["order_id"], **dead_letter_of(house, event["id"])}


def dead_letter_of(house: House, event_id: UUID) -> Mapping[str, Any]:
    """Return the dead letter of an event."""
    return house.rows("SELECT * FROM payments.dead_letters WHERE event_id = :id", id=event_id)[0]


def dead_letters(house: House) -> list[tuple[str, str, str | None]]:
    """Return (status, priority, class) of every dead letter, oldest first."""
    rows = house.rows(
        "SELECT d.status, d.priority, c.class_name FROM payments.dead_letters d LEFT JOIN payments.error_classes c"
        " ON c.organization_id = d.organization_id AND c.id = d.error_class_id ORDER BY d.id"
    )
    return [(row["status"], row["priority"], row["class_name"]) for row in rows]


def steps(house: House, dead_letter_id: UUID) -> list[tuple[str, str, str]]:
    """Return (action, status it led to, actor) of a dead letter's history, in order."""
    rows = house.rows(
        "SELECT action, to_status, changed_by FROM payments.dead_letter_history WHERE dead_letter_id = :id"
        " ORDER BY sequence",
        id=dead_letter_id,
    )
    return [(row["action"], row["to_status"], row["changed_by"]) for row in rows]


def add_class(house: House, name: str = "ledger", **columns: Any) -> UUID:
    """Add an error class. By default it matches whatever the tests break."""
    given = {
        "match_order": house.value("SELECT COALESCE(max(match_order), 0) + 10 FROM payments.error_classes"),
        "message_keywords": ["ledger", "CLOSED"],
        **columns,
    }
    class_id = uuid7(house.clock.now)
    names = ", ".join(given)
    house.sql(
        f"INSERT INTO payments.error_classes (organization_id, id, class_name, created_by, created_at, {names})"
        f" VALUES (:o, :id, :name, 'test', :now, {', '.join(f':{each}' for each in given)})",
        o=house.organization_id,
        id=class_id,
        name=name,
        now=house.clock.now,
        **given,
    )
    return class_id


def add_healing_class(house: House, name: str = "ledger", *, failed: int = 0, **columns: Any) -> UUID:
    """Add a class that has earned automatic replay of its dead letters."""
    return add_class(
        house, name, **{"auto_replay_enabled": True, "successful_replays": 10, "failed_replays": failed, **columns}
    )


def class_record(house: House, class_id: UUID) -> Mapping[str, Any]:
    """Return the row of a class."""
    return house.rows("SELECT * FROM payments.error_classes WHERE id = :id", id=class_id)[0]


def replay(house: House, dead_letter_id: UUID, *, automatic: bool = False) -> ReplayResult:
    """Replay a dead letter as a person, or as the schedule does."""
    runtime, actor = (house.system, "system:dlq_retries") if automatic else (house.runtime, PERSON)
    return replay_dead_letter(
        runtime, house.organization_id, dead_letter_id, house.clock, actor=actor, automatic=automatic
    )


def some_id() -> UUID:
    """Return an id that belongs to nothing."""
    return uuid.uuid4()
