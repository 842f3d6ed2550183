"""The acts of the races about stock: what people and schedules do to the same levels at once."""

import random
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, Final

from holdfast.flows.checkout.place_order import place_order
from holdfast.flows.claims.idempotency import Answer, Claim
from holdfast.flows.money.refund_order import RefundOrder, refund_order
from holdfast.flows.orders.cancel_order import CancelOrder, cancel_order
from holdfast.flows.orders.expire_reservations import expire_reservations
from holdfast.flows.shipping import deliver_shipment as road
from holdfast.flows.shipping import prepare_shipment as parcels
from holdfast.flows.shipping.read_shipments import Wanted as WantedShipments
from holdfast.flows.shipping.read_shipments import list_shipments
from holdfast.flows.shipping.reship_shipment import reship_shipment
from holdfast.flows.shipping.ship_shipment import ShipShipment, ship_shipment
from holdfast.flows.stock.change_stock import ChangeStock, StockLine, change_stock
from holdfast.flows.stock.transfers import Request, cancel_transfer, receive_transfer, request_transfer, ship_transfer
from holdfast.fulfillment.lifecycle import FailureReason
from holdfast.inventory.stock import ChangeType
from holdfast.payments.model import RefundReason, RestockReason
from holdfast.payments.refund_plan import Wanted, WantedItem
from holdfast.runtime import Runtime
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import (
    CapacityExceeded,
    Conflict,
    OutOfStock,
    RefundExceeds,
    StockContended,
    TransitionRefused,
)
from holdfast.values.shipping import ShipmentStatus
from holdfast.web.answers import change_answer, order_answer, payment_answer
from holdfast.web.refund_answers import refund_answer
from holdfast.web.shipment_answers import shipment_answer, shipped_answer
from tests.house import House, document
from tests.races.crowd import guest

RENDER: Final = change_answer("transfer")
REFUSALS: Final = (OutOfStock, StockContended, CapacityExceeded, Conflict, TransitionRefused, RefundExceeds)
Act = Callable[[House, Runtime, Caller, list[str], random.Random], None]


def manager(house: House) -> Caller:
    """Add a member of staff who may change stock."""
    user_id = uuid.uuid4()
    house.sql(
        "INSERT INTO tenancy.users (id, auth_subject, email, full_name, created_at)"
        " VALUES (:id, :subject, 'grace@shop.example', 'Grace', now())",
        id=user_id,
        subject=f"grace-{user_id}",
    )
    house.sql(
        "INSERT INTO tenancy.organization_members (organization_id, user_id, role, created_at)"
        " VALUES (:o, :u, 'manager', now())",
        o=house.organization_id,
        u=user_id,
    )
    return Caller(house.organization_id, CallerKind.STAFF, f"grace-{user_id}")


def change(
    house: House,
    runtime: Runtime,
    who: Caller,
    type_: ChangeType,
    quantities: dict[str, int],
    warehouse: str,
    key: str = "",
) -> Answer:
    """Record a receipt, an adjustment or damage of some SKUs."""
    lines = tuple(StockLine(quantity, sku=sku) for sku, quantity in quantities.items())
    claim = Claim(who.actor, str(type_), key or uuid.uuid4().hex, "f")
    command = ChangeStock(who, claim, type_, house.warehouses[warehouse], lines, "a race")
    return change_stock(runtime, command, house.clock(), change_answer("change"))


def request(who: Caller) -> Request:
    """Return a request under an idempotency key of its own."""
    return Request(who, Claim(who.actor, "transfer", uuid.uuid4().hex, "f"))


def ask_for(house: House, runtime: Runtime, who: Caller, sku: str, quantity: int, *, back: bool = False) -> uuid.UUID:
    """Request a transfer from EWR to RNO, or back, and return its id."""
    source, destination = ("RNO", "EWR") if back else ("EWR", "RNO")
    answer = request_transfer(
        runtime,
        request(who),
        variant_id=house.variants[sku],
        from_warehouse_id=house.warehouses[source],
        to_warehouse_id=house.warehouses[destination],
        quantity=quantity,
        reason="a race",
        now=house.clock(),
        render=RENDER,
    )
    return uuid.UUID(document(answer)["transfer"]["id"])


def transfer(house: House, runtime: Runtime, who: Caller, skus: list[str], dice: random.Random) -> None:
    """Make a transfer and possibly complete it, or cancel it before or on its way."""
    transfer_id = ask_for(house, runtime, who, skus[0], dice.randint(1, 6), back=dice.random() < 0.5)
    if dice.random() < 0.8:
        ship_transfer(runtime, request(who), transfer_id, house.clock(), RENDER)
        received, written_off = dice.choice([(1, 0), (1, 0), (0, 1)])
        receive_transfer(
            runtime,
            request(who),
            transfer_id,
            received_quantity=received,
            written_off_quantity=written_off,
            reason="lost",
            now=house.clock(),
            render=RENDER,
        )
    if dice.random() < 0.5:
        cancel_transfer(runtime, request(who), transfer_id, "a race", house.clock(), RENDER)


def buy(house: House, runtime: Runtime, _who: Caller, skus: list[str], dice: random.Random) -> None:
    command = house.command({sku: dice.randint(1, 5) for sku in skus}, caller=guest(house))
    place_order(runtime, command, house.clock, payment_answer)


def receive(house: House, runtime: Runtime, who: Caller, skus: list[str], dice: random.Random) -> None:
    quantities = {sku: dice.randint(1, 5) for sku in skus}
    change(house, runtime, who, ChangeType.RECEIVE, quantities, dice.choice(["EWR", "RNO"]))


def correct(house: House, runtime: Runtime, who: Caller, skus: list[str], dice: random.Random) -> None:
    quantities = {sku: dice.choice([-3, -1, 1, 3]) for sku in skus}
    change(house, runtime, who, ChangeType.ADJUSTMENT, quantities, dice.choice(["EWR", "RNO"]))


def spoil(house: House, runtime: Runtime, who: Caller, skus: list[str], dice: random.Random) -> None:
    change(house, runtime, who, ChangeType.DAMAGE, dict.fromkeys(skus, 2), dice.choice(["EWR", "RNO"]))


def parcel(house: House, runtime: Runtime, who: Caller, dice: random.Random, *statuses: ShipmentStatus) -> Any:
    """Return some shipment that is in one of these statuses. Raises Conflict when there is none."""
    wanted = WantedShipments(status=dice.choice(statuses))
    page = list_shipments(runtime, who, wanted, after=None, limit=50, now=house.clock())
    if not page["shipments"]:
        raise Conflict("nothing to do")
    return dice.choice(page["shipments"])


def about(who: Caller, shipment: Any) -> parcels.Request:
    """Return a request about a shipment in the version in which it was seen."""
    claim = Claim(who.actor, "shipment", uuid.uuid4().hex, "f")
    return parcels.Request(who, claim, uuid.UUID(shipment["id"]), shipment["version"])


def prepare(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.PENDING, ShipmentStatus.PICKED)
    act = dice.choice([parcels.pick_shipment, parcels.pack_shipment])
    act(runtime, about(who, shipment), house.clock(), shipment_answer)


def call_parcel_off(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.PICKED, ShipmentStatus.PACKED)
    parcels.cancel_shipment(runtime, about(who, shipment), "a race", house.clock(), shipment_answer)


def ship_parcel(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.PENDING, ShipmentStatus.PACKED)
    item = dice.choice(shipment["items"])
    part = {uuid.UUID(item["order_item_id"]): dice.randint(1, item["quantity"])} if dice.random() < 0.4 else {}
    asked = about(who, shipment)
    command = ShipShipment(who, asked.claim, asked.shipment_id, asked.version, "UPS", items=part)
    ship_shipment(runtime, command, house.clock, shipped_answer)


def lose(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.SHIPPED)
    if dice.random() < 0.5:
        road.deliver_shipment(runtime, about(who, shipment), None, house.clock(), shipment_answer)
    else:
        road.fail_shipment(runtime, about(who, shipment), FailureReason.LOST, None, house.clock(), shipment_answer)


def send_again(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.FAILED)
    reship_shipment(runtime, about(who, shipment), None, house.clock(), shipment_answer)


def refund(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, *ShipmentStatus)
    item = dice.choice(shipment["items"])
    reason = dice.choice([RestockReason.RESELLABLE, RestockReason.RESELLABLE, RestockReason.CUSTOMER_KEPT])
    wanted = Wanted(items=(WantedItem(uuid.UUID(item["order_item_id"]), dice.randint(1, item["quantity"]), reason),))
    claim = Claim(who.actor, "refund_order", uuid.uuid4().hex, "f")
    command = RefundOrder(who, claim, shipment["order_id"], wanted, RefundReason.CUSTOMER_REQUEST)
    refund_order(runtime, command, house.clock, refund_answer)


def cancel(house: House, runtime: Runtime, who: Caller, _: list[str], dice: random.Random) -> None:
    shipment = parcel(house, runtime, who, dice, ShipmentStatus.PENDING)
    claim = Claim(who.actor, "cancel_order", uuid.uuid4().hex, "f")
    cancel_order(runtime, CancelOrder(who, claim, shipment["order_id"]), house.clock, order_answer)


def decline(house: House, runtime: Runtime, _who: Caller, skus: list[str], dice: random.Random) -> None:
    """Place an order that is declined, so that its hold is left to the expiry."""
    items = {sku: dice.randint(1, 3) for sku in skus}
    command = house.command(items, caller=guest(house), token="pm_card_chargeDeclined")
    place_order(runtime, command, house.clock, payment_answer)


ACTS: Sequence[tuple[str, Act]] = [
    ("buy", buy),
    ("buy", buy),
    ("receive", receive),
    ("correct", correct),
    ("spoil", spoil),
    ("transfer", transfer),
    ("transfer", transfer),
]

SHOP_ACTS: Sequence[tuple[str, Act]] = [
    *[("buy", buy)] * 5,
    ("decline", decline),
    ("receive", receive),
    ("transfer", transfer),
    *[("prepare", prepare)] * 2,
    ("call a parcel off", call_parcel_off),
    *[("ship", ship_parcel)] * 4,
    *[("lose or deliver", lose)] * 2,
    ("send again", send_again),
    *[("refund", refund)] * 2,
    ("cancel", cancel),
]


def expire(house: House, until: float) -> dict[str, int]:
    """Let the holds expire, and run the schedule that gives their stock back while others take it.

    Return how often the schedule ran.
    """
    runs = 0
    while time.monotonic() < until:
        long_ago = house.clock() - timedelta(hours=1)
        # Holds that somebody has locked are left for the next round, so that the test itself causes no deadlock.
        house.sql(
            "UPDATE inventory.reservations r SET expires_at = :at FROM (SELECT organization_id, id"
            " FROM inventory.reservations WHERE status = 'active' ORDER BY id FOR UPDATE SKIP LOCKED) AS free"
            " WHERE r.organization_id = free.organization_id AND r.id = free.id",
            at=long_ago,
        )
        expire_reservations(house.system, house.clock, lambda: until - time.monotonic() + 30)
        runs += 1
    return {"expire": runs}


def busy(
    house: House,
    runtime: Runtime,
    who: Caller,
    skus: Sequence[str],
    acts: Sequence[tuple[str, Act]],
    seed: int,
    until: float,
) -> dict[str, int]:
    """Do one act after another on one to four of the SKUs until the time is over.

    Return how often each act was done or refused. Any other end of an act is an error.
    """
    dice, done = random.Random(seed), dict[str, int]()
    while time.monotonic() < until:
        name, act = dice.choice(acts)
        some = dice.sample(skus, dice.randint(1, 4))
        try:
            act(house, runtime, who, some, dice)
        except REFUSALS:
            name = f"{name} refused"
        done[name] = done.get(name, 0) + 1
    return done
