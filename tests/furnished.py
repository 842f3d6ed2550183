"""A shop that contains some of everything that a route can name, made by the real flows, and an index of it."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from holdfast.flows.archive.hold_orders import place_hold
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.ids import uuid7
from tests import shipping
from tests.archive.scenes import archive, delivered, export, purge, verify
from tests.flows import moving, reviewing
from tests.flows.actions import guest, killed_before_the_gateway_was_asked, ordered, relay
from tests.flows.dead_lettering import (
    ASKS,
    add_class,
    break_events,
    buried,
    fail_until_given_up,
    mend_events,
    paid_unheard,
)
from tests.flows.letters import manager
from tests.flows.mailing import messages, notify
from tests.handlers.door import Door
from tests.house import House

SKUS: Final = ("TEE", "TEE-BLK-M", "MUG")
PICKED, PACKED, SHIPPED, MOVED = (shipping.pick,), (shipping.pack,), (shipping.ship,), (shipping.in_transit,)
DAYS_OF_A_MONTH_THAT_IS_OVER: Final = 45
LINKS: Final = 14
"""The number of orders whose address waits for its shopper."""

THINGS: Final[Mapping[str, str]] = {
    "order": "SELECT o.status || ' ' || p.status AS state, o.id AS order_id, o.id AS reference,"
    " o.order_number AS order, o.total AS amount_minor,"
    " 1 + (SELECT count(*) FROM orders.order_address_versions v WHERE v.order_id = o.id) AS version,"
    " i.id AS order_item_id, i.sku, p.id AS payment_id, o.customer_id"
    " FROM orders.orders o JOIN orders.order_items i ON i.order_id = o.id JOIN payments.payments p ON p.order_id = o.id"
    " WHERE o.organization_id = :o ORDER BY o.id, p.id",
    "archived_order": "SELECT order_number AS reference, order_id FROM archive.archive_index"
    " WHERE organization_id = :o ORDER BY order_id",
    "customer": "SELECT id AS customer_id FROM tenancy.customers WHERE organization_id = :o ORDER BY id",
    "shipment": "SELECT status AS state, id AS shipment_id, version FROM fulfillment.shipments"
    " WHERE organization_id = :o ORDER BY id",
    "review": "SELECT status AS state, id AS review_id, version FROM addresses.reviews"
    " WHERE organization_id = :o ORDER BY id",
    "hold": "SELECT id AS hold_id FROM archive.legal_holds WHERE organization_id = :o ORDER BY id",
    "month": "SELECT DISTINCT to_char(month, 'YYYY-MM') AS month FROM archive.cold_files"
    " WHERE organization_id = :o ORDER BY 1",
    "batch": "SELECT id AS batch_id FROM archive.archive_batches WHERE organization_id = :o ORDER BY id",
    "override": "SELECT id AS override_id, version, warehouse_id FROM inventory.capacity_overrides"
    " WHERE organization_id = :o ORDER BY id",
    "group": "SELECT DISTINCT fingerprint FROM payments.dead_letters WHERE organization_id = :o ORDER BY 1",
    "dead_letter": "SELECT status AS state, id AS dead_letter_id, id AS ids, version, error_class_id"
    " FROM payments.dead_letters WHERE organization_id = :o ORDER BY id",
    "error_class": "SELECT id AS error_class_id, id AS ids, version, match_order FROM payments.error_classes"
    " WHERE organization_id = :o ORDER BY id",
    "group_replay": "SELECT id AS group_replay_id FROM payments.group_replays WHERE organization_id = :o ORDER BY id",
    "suppression": "SELECT id AS suppression_id, address FROM notifications.suppressions"
    " WHERE organization_id = :o ORDER BY id",
    "mail": "SELECT id AS mail_id, order_id FROM notifications.messages WHERE organization_id = :o ORDER BY id",
    "failure": "SELECT id AS failure_id, version FROM operations.process_failures"
    " WHERE organization_id = :o ORDER BY id",
    "operation": "SELECT state, id AS operation_id FROM orders.order_operations WHERE organization_id = :o ORDER BY id",
    "transfer": "SELECT status AS state, id AS transfer_id FROM inventory.transfers"
    " WHERE organization_id = :o ORDER BY id",
    "warehouse": "SELECT id AS warehouse_id, version FROM inventory.warehouses WHERE organization_id = :o ORDER BY id",
    "level": "SELECT s.warehouse_id, s.variant_id, v.sku, v.product_id, s.warehouse_id AS from_warehouse_id,"
    " (SELECT id FROM inventory.warehouses w WHERE w.organization_id = :o AND w.id <> s.warehouse_id LIMIT 1)"
    " AS to_warehouse_id FROM inventory.stock_levels s JOIN catalog.variants v ON v.id = s.variant_id"
    " WHERE s.organization_id = :o ORDER BY s.warehouse_id, s.variant_id",
    "method": "SELECT id AS payment_method_id FROM tenancy.payment_methods WHERE organization_id = :o ORDER BY id",
    "member": "SELECT u.auth_subject AS assignee FROM tenancy.organization_members m"
    " JOIN tenancy.users u ON u.id = m.user_id WHERE m.organization_id = :o ORDER BY m.user_id",
    "endpoint": "SELECT gateway, endpoint_key FROM tenancy.gateway_accounts WHERE organization_id = :o",
}
"""Queries for the things in a shop, with their columns named as in paths, queries and bodies."""
THING_OF_PARAMETER: Final[Mapping[str, str]] = {
    "order_id": "order",
    "payment_id": "order",
    "reference": "order",
    "customer_id": "customer",
    "shipment_id": "shipment",
    "review_id": "review",
    "hold_id": "hold",
    "month": "month",
    "batch_id": "batch",
    "override_id": "override",
    "fingerprint": "group",
    "dead_letter_id": "dead_letter",
    "error_class_id": "error_class",
    "group_replay_id": "group_replay",
    "suppression_id": "suppression",
    "mail_id": "mail",
    "failure_id": "failure",
    "operation_id": "operation",
    "transfer_id": "transfer",
    "variant_id": "level",
    "warehouse_id": "warehouse",
    "payment_method_id": "method",
    "endpoint_key": "endpoint",
    "gateway": "endpoint",
    "token": "link",
}
"""The kind of thing that a path parameter names."""


@dataclass(frozen=True, slots=True)
class Pantry:
    """The current contents of a furnished shop."""

    house: House
    links: tuple[str, ...]
    """Tokens of links to address reviews, which are in no table."""

    def all(self, thing: str) -> list[dict[str, Any]]:
        """Return everything of one kind, in a stable order."""
        if thing == "link":
            return [{"token": token} for token in self.links]
        rows = self.house.rows(THINGS[thing], o=self.house.organization_id)
        return [{name: value if isinstance(value, int) else str(value) for name, value in row.items()} for row in rows]

    def some(self, parameters: tuple[str, ...], path: str, dice: random.Random) -> dict[str, Any]:
        """Return one thing that a path with these parameters names, with everything that belongs to it.

        Empty if there is none. Every state has the same chance, however many things are in it.
        """
        if not parameters:
            return {}
        thing = "level" if "variant_id" in parameters else THING_OF_PARAMETER[parameters[-1]]
        if "/archive/orders/" in path:
            thing = "archived_order"
        found = self.all(thing)
        if not found:
            return {}
        state = dice.choice(sorted({str(row.get("state")) for row in found}))
        return dice.choice([row for row in found if str(row.get("state")) == state])

    def ids(self) -> set[str]:
        """Return every id of the shop, none of which a stranger may be told."""
        return {
            value
            for thing in THINGS
            for row in self.all(thing)
            for value in row.values()
            if isinstance(value, str) and len(value) == 36
        }


def furnish(house: House) -> Pantry:
    """Fill an empty shop: stock, an archive, orders in every state, parcels, mails, reviews and failures."""
    door, now = Door(house), house.clock.now
    house.clock.advance(hours=-18)
    for sku in SKUS:
        house.add_variant(sku, stock={"EWR": 5_000, "RNO": 5_000})
    moving.shop(house)
    _archived(house)
    _given_up(house, door)
    house.clock.now = now
    _orders(house)
    links = tuple(reviewing.token(house, reviewing.in_review(house)) for _ in range(LINKS))
    notify(house)
    _owed(house)
    _lost(house)
    _failed(house)
    _stocked(house, door)
    relay(house)
    return Pantry(house, links)


def _archived(house: House) -> None:
    """Archive orders of a month that moves to cold storage, and orders of today, one of them under a legal hold."""
    names = ("archive_after_months", "archive_settled_days", "archive_grace_days", "archive_cold_after_months")
    moving.settings(house, **dict.fromkeys(names, 0))
    boss = manager(house, "keeper", "admin")
    for days_ago in (DAYS_OF_A_MONTH_THAT_IS_OVER, 0):
        house.clock.advance(days=-days_ago)
        order_ids = delivered(house, 3, items={"MUG": 1})
        house.clock.advance(minutes=1)
        archive(house)
        verify(house)
        purge(house)
        house.clock.advance(days=days_ago)
    place_hold(house.runtime, boss, str(order_ids[0]), reason="a lawsuit", now=house.clock())
    export(house)
    house.sql(
        "UPDATE tenancy.organizations SET settings = settings - CAST(:names AS text[]) WHERE id = :o",
        names=list(names),
        o=house.organization_id,
    )


def _orders(house: House) -> None:
    for number in range(4):
        ordered(house, {"TEE": 2, "MUG": 1 + number}, save=True)
    ordered(house, caller=guest(house))
    for token in ("pm_card_chargeDeclined", ASKS, "pm_card_chargeDeclined", ASKS, "pm_card_chargeDeclined"):
        ordered(house, token=token)
    shipping.capture_policy(house, "per_shipment")
    for _ in range(4):
        ordered(house)
    shipping.capture_policy(house, "at_once")
    for steps in ((), PICKED, PICKED + PACKED, PICKED + PACKED + SHIPPED, SHIPPED, SHIPPED + MOVED):
        order_id = ordered(house, {"MUG": 1})
        for step in steps:
            step(house, shipping.only(house, order_id))
    for number in range(4):
        gone = Caller(house.organization_id, CallerKind.CUSTOMER, f"gone-{number}", f"gone-{number}@example.com")
        house.cancel(ordered(house, caller=gone), caller=gone)
        house.cancel(reviewing.in_review(house, caller=gone), caller=gone)
    for _ in range(6):
        lost = ordered(house, {"MUG": 1})
        shipping.shipped(house, shipping.only(house, lost))
        shipping.fail(house, shipping.only(house, lost))
    house.work()


def _given_up(house: House, door: Door) -> None:
    """Make dead letters, one group of them that is being replayed and one that is not, and error classes."""
    for number in range(4):
        add_class(house, f"class {number}")
    letters = [buried(house) for _ in range(2)]
    mend_events(house)
    manager = door.staff("manager")
    door.ask(
        "POST /v1/ops/dead-letter-groups/{fingerprint}/replay",
        {"per_minute": 1},
        who=manager,
        key=None,
        fingerprint=letters[0]["fingerprint"],
    )
    for _ in range(10):
        event = paid_unheard(house)
        break_events(house, "books_closed", only=event["gateway_event_id"])
    fail_until_given_up(house)
    mend_events(house)
    for letter in house.rows("SELECT id FROM payments.dead_letters WHERE status = 'pending_review' LIMIT 2"):
        door.ask(
            "POST /v1/ops/dead-letters/{dead_letter_id}/investigate",
            {"version": 1},
            who=manager,
            key=None,
            dead_letter_id=str(letter["id"]),
        )


def _owed(house: House) -> None:
    """Cancel orders whose money cannot be returned, and give up returning it."""
    for _ in range(4):
        house.stripe_behaves(match={"operation": "refunds.create"}, http_status=401)
        house.cancel(ordered(house))
    house.sql(
        "UPDATE orders.order_operations SET state = 'failed', finished_at = :now"
        " WHERE organization_id = :o AND state = 'running' AND operation = 'return_money'",
        o=house.organization_id,
        now=house.clock(),
    )


def _lost(house: House) -> None:
    """Begin to pay for orders without a gateway hearing of it, and ask none about it any more."""
    for _ in range(6):
        house.sql(
            "UPDATE payments.payments SET next_check_at = NULL WHERE organization_id = :o AND order_id = :order_id",
            o=house.organization_id,
            order_id=killed_before_the_gateway_was_asked(house),
        )


def _failed(house: House) -> None:
    """Make failures that wait for a person, and suppressed addresses whose mails bounced."""
    for message in messages(house)[-8:]:
        house.sql(
            "INSERT INTO operations.process_failures (organization_id, id, process_name, details, created_at)"
            " VALUES (:o, :id, 'PaymentUndecided', 'nobody knows', :now)",
            o=house.organization_id,
            id=uuid7(house.clock()),
            now=house.clock(),
        )
        house.sql(
            "INSERT INTO notifications.suppressions (organization_id, id, address, reason, message_id, feedback_id,"
            " created_at) VALUES (:o, :id, :address, 'bounce', :message, :feedback, :now)",
            o=house.organization_id,
            id=uuid7(house.clock()),
            address=f"{message['id']}@example.com",
            message=message["id"],
            feedback=f"feedback-{message['id']}",
            now=house.clock(),
        )


def _stocked(house: House, door: Door) -> None:
    """Make transfers and capacity overrides, and import a file of counts."""
    manager = door.staff("manager")
    east, west = (str(house.warehouses[code]) for code in ("EWR", "RNO"))
    for number in range(5):
        asked = {
            "variant_id": str(house.variants["TEE"]),
            "from_warehouse_id": east,
            "to_warehouse_id": west,
            "quantity": 5,
            "reason": "runs low",
        }
        transfer_id = door.ask("POST /v1/ops/transfers", asked, who=manager).body["transfer"]["id"]
        if number < 3:
            door.ask("POST /v1/ops/transfers/{transfer_id}/ship", {}, who=manager, transfer_id=transfer_id)
        day = f"203{number}-11-25"
        override = {"starts_on": day, "ends_on": day, "hard_capacity_limit": 50, "reason": "peak", "warehouse_id": east}
        door.ask("POST /v1/ops/capacity-overrides", override, who=manager)
    csv = "warehouse,sku,quantity\nEWR,MUG,4000\n"
    door.ask("POST /v1/ops/stock/imports", csv, who=manager, headers={"content-type": "text/csv"})
