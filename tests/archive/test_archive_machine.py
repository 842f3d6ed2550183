"""The tiers of the archive as a state machine: whatever is done to an order, it is readable, the same and provable.

The model knows where every order is and how it looks. After every step each order is read in the way in which shoppers
read it, and what was sealed lies in exactly the place that is said to have it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from holdfast.archive.policy import Location
from holdfast.flows.archive.erase_customer import erase_customer
from holdfast.flows.archive.hold_orders import place_hold, release_hold
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.orders.find_order import find_order
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import Conflict, NotFound
from tests.archive.scenes import (
    archive,
    asked_for,
    bring_months,
    documents,
    export,
    old_at_once,
    prove,
    prove_cold,
    purge,
    scan,
    spot,
    verify,
)
from tests.faults.settings import HEAVY
from tests.flows.actions import ordered, staff
from tests.house import House

ORDERS_MAX = 5
ANY = st.integers(0, 59)


@dataclass
class Filed:
    """What the model knows of an order: its place (``None``: it never left the active tables) and how it looks."""

    id: str
    customer_id: UUID
    event: dict[str, Any]
    view: Mapping[str, Any]
    place: Location | None = None
    is_marked: bool = False
    is_verified: bool = False
    holds: list[str] = field(default_factory=list)
    news: int = 0

    @property
    def is_held(self) -> bool:
        return bool(self.holds)


class Tiers(RuleBasedStateMachine):
    """Schedules, people, late news, and somebody who alters what is sealed and then puts it back."""

    house: House
    admin: Caller
    runs = 0

    @initialize()
    def begin(self) -> None:
        Tiers.runs += 1
        self.number = 0
        self.known: list[Filed] = []
        self.erased: set[UUID] = set()
        self.order_more()

    def shopper(self, number: int) -> Caller:
        """Return a shopper who is new in every run, so that an erasure in an earlier run does not reach them."""
        name = f"shopper-{Tiers.runs}-{number}"
        return Caller(self.house.organization_id, CallerKind.CUSTOMER, name, f"{name}@example.com")

    def pick(self, number: int) -> Filed:
        return self.known[number % len(self.known)]

    def look(self, order_id: str) -> Mapping[str, Any]:
        return {**find_order(self.house.runtime, self.admin, order_id, self.house.clock()), "version": None}

    # --- what happens -----------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.known) < ORDERS_MAX)
    @rule()
    def order_more(self) -> None:
        """Add an order that is over: paid and cancelled."""
        self.number += 1
        shopper = self.shopper(self.number % 3)
        order_id = ordered(self.house, caller=shopper)
        [event] = self.house.webhooks("payment_intent.succeeded", order_id=order_id)
        self.house.cancel(order_id, caller=shopper)
        self.house.work()
        self.house.clock.advance(minutes=1)
        customer_id = self.house.value(
            "SELECT customer_id FROM orders.orders WHERE id = CAST(:id AS uuid)", id=order_id
        )
        self.erased.discard(customer_id)
        self.known.append(Filed(order_id, customer_id, event, self.look(order_id)))

    @rule(days=st.sampled_from([1, 8, 40]))
    def days_pass(self, days: int) -> None:
        self.house.clock.advance(days=days)
        self.house.sql("SELECT operations.make_partitions(CAST(:today AS date), 1)", today=self.house.clock.now.date())

    @rule()
    def archive_them(self) -> None:
        archive(self.house, batch_max_orders=2)
        for order in self.known:
            if order.place in (None, Location.RESTORED) and not order.is_held:
                order.place, order.is_marked, order.is_verified = Location.ARCHIVED, True, False

    @rule()
    def verify_them(self) -> None:
        assert verify(self.house).tally.findings == []
        for order in self.known:
            order.is_verified = order.is_verified or order.place is Location.ARCHIVED

    @rule()
    def purge_them(self) -> None:
        purge(self.house)
        for order in self.known:
            if order.place is Location.ARCHIVED and order.is_verified and not order.is_held:
                order.is_marked = False

    @rule()
    def export_them(self) -> None:
        """Export, read where the orders went, and check that each of them was allowed to go."""
        export(self.house)
        for order in self.known:
            place = self.place_of(order)
            if place is Location.COLD_STORAGE and order.place is not place:
                assert (order.place, order.is_marked, order.is_held) == (Location.ARCHIVED, False, False)
            if place is not order.place:
                assert place is Location.COLD_STORAGE
                order.place = place

    @rule(number=ANY)
    def restore_one(self, number: int) -> None:
        order = self.pick(number)
        arguments = (self.house.runtime, self.house.organization_id, UUID(order.id), self.house.clock(), "staff:test")
        try:
            assert restore_order(*arguments, "a test")
        except NotFound:
            assert order.place in (None, Location.RESTORED)
        else:
            order.place, order.is_marked = Location.RESTORED, False

    @precondition(lambda self: any(order.place is Location.COLD_STORAGE for order in self.known))
    @rule()
    def restore_month(self) -> None:
        month = self.house.value("SELECT max(month) FROM archive.cold_files WHERE state = 'verified'")
        asked_for(self.house, month, stays_days=1)
        assert bring_months(self.house).failed_months == 0
        for order in self.known:
            if order.place is Location.COLD_STORAGE:
                order.place = self.place_of(order)

    @rule(number=ANY)
    def news_comes_late(self, number: int) -> None:
        """Let the gateway repeat an event about a payment under another id."""
        order = self.pick(number)
        order.news += 1
        event_id = f"{order.event['id']}-{order.news}"
        self.house.deliver({**order.event, "id": event_id, "created": int(self.house.clock().timestamp())})
        self.house.work()
        if order.place is not None:
            order.place, order.is_marked = Location.RESTORED, False

    @rule(number=ANY)
    def hold_one(self, number: int) -> None:
        order = self.pick(number)
        reason = f"case {len(order.holds)}"
        hold = place_hold(self.house.runtime, self.admin, order.id, reason=reason, now=self.house.clock())
        order.holds.append(hold["id"])

    @rule(number=ANY)
    def release_one(self, number: int) -> None:
        order = self.pick(number)
        if order.holds:
            hold_id = UUID(order.holds.pop())
            release_hold(self.house.runtime, self.admin, hold_id, reason="over", now=self.house.clock())

    @rule(number=ANY)
    def erase_one(self, number: int) -> None:
        customer_id = self.pick(number).customer_id
        theirs = [order for order in self.known if order.customer_id == customer_id]
        try:
            erase_customer(self.house.runtime, self.admin, customer_id, reason="asked", now=self.house.clock())
        except Conflict:
            assert any(order.is_held for order in theirs)
            return
        assert customer_id in self.erased or not any(order.is_held for order in theirs)
        self.erased.add(customer_id)
        for order in theirs:
            view = self.look(order.id)
            assert "shopper" not in json.dumps(view)
            assert view["amounts"] == order.view["amounts"]
            order.view = view

    @precondition(lambda self: any(order.place is Location.ARCHIVED for order in self.known))
    @rule(number=ANY, what=st.sampled_from(["document", "index"]))
    def tamper_and_mend(self, number: int, what: str) -> None:
        """Alter something that the full scan must find, and must resolve on record once it is mended."""
        filed = [order for order in self.known if order.place is Location.ARCHIVED]
        order = filed[number % len(filed)]
        table = "archive.archived_orders" if what == "document" else "archive.archive_index"
        there, back = {
            "document": (
                "document = replace(document, 'order_number', 'order_numbex')",
                "document = replace(document, 'order_numbex', 'order_number')",
            ),
            "index": ("total = total + 1", "total = total - 1"),
        }[what]
        of_it = "WHERE order_id = CAST(:id AS uuid)"
        self.house.sql(f"UPDATE {table} SET {there} {of_it}", id=order.id)
        assert {str(found.order_id) for found in scan(self.house).tally.findings} == {order.id}
        assert self.house.value("SELECT count(*) FROM archive.discrepancies WHERE resolved_at IS NULL") > 0
        self.house.sql(f"UPDATE {table} SET {back} {of_it}", id=order.id)
        assert scan(self.house).tally.findings == []
        assert self.house.value("SELECT count(*) FROM archive.discrepancies WHERE resolved_at IS NULL") == 0

    @rule()
    def look_by_chance(self) -> None:
        assert spot(self.house).tally.findings == []

    # --- what is always true ----------------------------------------------------------------------------------------

    def place_of(self, order: Filed) -> Location | None:
        found = self.house.rows(
            "SELECT location FROM archive.archive_index WHERE order_id = CAST(:id AS uuid)", id=order.id
        )
        return Location(found[0]["location"]) if found else None

    @invariant()
    def every_order_is_where_it_is_said_to_be_and_looks_as_it_did(self) -> None:
        for order in getattr(self, "known", []):
            assert self.look(order.id) == order.view, order
            assert self.place_of(order) is order.place, order
            [at] = self.house.rows(
                "SELECT (SELECT deleted_at IS NOT NULL FROM orders.orders WHERE id = CAST(:id AS uuid)) AS marked,"
                " (SELECT a.document FROM archive.archived_orders a JOIN archive.archive_index x"
                " ON x.order_id = a.order_id AND x.version = a.version WHERE x.order_id = CAST(:id AS uuid))"
                " AS document,"
                " (SELECT x.checksum FROM archive.archive_index x WHERE x.order_id = CAST(:id AS uuid)) AS checksum,"
                " (SELECT x.legal_hold FROM archive.archive_index x WHERE x.order_id = CAST(:id AS uuid)) AS held",
                id=order.id,
            )
            expected = {None: False, Location.RESTORED: False, Location.COLD_STORAGE: None}
            is_marked = expected.get(order.place, True if order.is_marked else None)
            assert at["marked"] is is_marked, (order, at["marked"])
            if order.place is Location.ARCHIVED:
                assert sha256(at["document"].encode()).digest() == bytes(at["checksum"])
            if order.place is not None:
                assert at["held"] is order.is_held

    @invariant()
    def the_chain_is_whole(self) -> None:
        assert prove(self.house).break_position is None

    def teardown(self) -> None:
        if not getattr(self, "known", []):
            return
        assert scan(self.house).tally.findings == []
        assert prove_cold(self.house).broken == []
        assert self.house.violations() == []
        for order in self.known:  # a held order keeps its month here, and so the orders of later runs
            while order.holds:
                self.release_one(self.known.index(order))
        assert documents(self.house) is not None


def test_an_order_is_in_one_tier_the_same_and_provable_whatever_happens(house: House) -> None:
    house.receive("TEE", "EWR", 900)
    old_at_once(house)
    Tiers.house, Tiers.admin = house, staff(house, "admin")
    run_state_machine_as_test(
        Tiers,
        settings=settings(
            max_examples=40 if HEAVY else 4,
            stateful_step_count=40 if HEAVY else 25,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
