"""Who may do what: the table, the routes of template.yaml and the functions' behavior agree."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import pytest

from holdfast.secrets.store import SecretStore
from holdfast.tenancy.access import WHO_MAY, Operation
from holdfast.tenancy.roles import Role, allows
from holdfast.values.caller import CallerKind
from holdfast.values.ids import uuid7
from holdfast.web.access import OPERATION_OF_ROUTE, PUBLIC
from tests.architecture.rules.door import PUBLIC_ROUTES
from tests.architecture.template import TEMPLATE, route
from tests.handlers.door import ADDRESS, FUNCTION_OF_ROUTE, Door, Reply, checkout_body
from tests.house import House

PAY = {"payment": {"gateway": "stripe", "token": "pm_card_visa"}}
ROUTE_OF: Final = {operation: key for key, operation in OPERATION_OF_ROUTE.items() if operation is not None}
WITH_AN_ORDER: Final = [
    key for key, operation in OPERATION_OF_ROUTE.items() if operation and ("{order_id}" in key or "{reference}" in key)
]
BODIES: Final[Mapping[Operation, Any]] = {
    Operation.RESEND_MAIL: {},
    Operation.LIFT_MAIL_SUPPRESSION: {"reason": "the mailbox works again"},
    Operation.PLACE_ORDER: checkout_body(email="x@example.com"),
    Operation.QUOTE_ORDER: {"items": [{"sku": "TEE", "quantity": 1}], "shipping_address": ADDRESS},
    Operation.PAY_ORDER: PAY,
    Operation.COMPLETE_PAYMENT: {},
    Operation.CANCEL_ORDER: {},
    Operation.RECONCILE_ARCHIVE_BATCH: {},
    Operation.PROVE_ARCHIVE: {},
    Operation.RESTORE_ARCHIVED_ORDER: {"reason": "a dispute by letter"},
    Operation.RESTORE_ARCHIVED_MONTH: {"reason": "an audit"},
    Operation.PLACE_LEGAL_HOLD: {"reason": "case 7"},
    Operation.RELEASE_LEGAL_HOLD: {"reason": "case 7 is over"},
    Operation.ERASE_CUSTOMER: {"reason": "asked for"},
    Operation.CHANGE_SHIPPING_ADDRESS: {"shipping_address": ADDRESS},
    Operation.REFUND_ORDER: {"reason": "customer_request"},
    Operation.ASSIGN_PROCESS_FAILURE: {"version": 1},
    Operation.UNASSIGN_PROCESS_FAILURE: {"version": 1},
    Operation.RESOLVE_PROCESS_FAILURE: {"note": "looked into it", "version": 1},
    Operation.RESOLVE_ADDRESS_REVIEW: {"version": 1},
    Operation.CORRECT_ADDRESS_REVIEW: {
        "version": 1,
        "address": {name: ADDRESS[name] for name in ("line1", "city", "region", "postal_code", "country")},
    },
    Operation.EXTEND_ADDRESS_REVIEW: {"version": 1, "deadline_at": "2030-01-01T12:00:00Z"},
    Operation.CANCEL_ADDRESS_REVIEW: {"version": 1, "reason": "nobody can be reached"},
    Operation.REOPEN_PROCESS_FAILURE: {"note": "not over", "version": 1},
    Operation.SIMULATE_ALLOCATION: {"starts_at": "2025-11-01T00:00:00Z", "ends_at": "2025-11-02T00:00:00Z"},
    Operation.REFOLD_PAYMENTS: {},
    Operation.RETRY_OPERATION: {},
    Operation.GIVE_UP_PAYMENT: {"note": "not at the gateway"},
    Operation.CAPTURE_ORDER: {},
    Operation.ASSIGN_DEAD_LETTER: {"assignee": None, "version": 1},
    Operation.INVESTIGATE_DEAD_LETTER: {"version": 1},
    Operation.MAKE_DEAD_LETTER_READY: {"version": 1},
    Operation.REPLAY_DEAD_LETTER: {},
    Operation.DISCARD_DEAD_LETTER: {"note": "a payment of the old shop", "version": 1},
    Operation.REPLAY_DEAD_LETTERS: {"ids": ["01930000-0000-7000-8000-0000000000e2"]},
    Operation.REPLAY_DEAD_LETTER_GROUP: {"per_minute": 60},
    Operation.CREATE_ERROR_CLASS: {"class_name": "any"},
    Operation.CHANGE_ERROR_CLASS: {"class_name": "any", "version": 1},
    Operation.ORDER_ERROR_CLASSES: {"ids": ["01930000-0000-7000-8000-0000000000e3"]},
    Operation.DEACTIVATE_ERROR_CLASS: {"version": 1},
    Operation.TEST_ERROR_CLASS: {"class_name": "any"},
    Operation.SET_AUTO_REPLAY: {"enabled": True, "version": 1},
}
WAREHOUSE: Final[Mapping[str, Any]] = {
    "name": "Newark",
    "address": {"city": "Newark"},
    "latitude": 40.7,
    "longitude": -74.2,
    "shipping_cost_base_minor": 600,
    "timezone": "America/New_York",
}
STOCK_LINES: Final = {"warehouse_id": str(UUID(int=9)), "lines": [{"sku": "TEE", "quantity": 1}], "reason": "counted"}
TRANSFER: Final = {
    "variant_id": str(UUID(int=9)),
    "from_warehouse_id": str(UUID(int=9)),
    "to_warehouse_id": str(UUID(int=10)),
    "quantity": 5,
    "reason": "runs low",
}
OVERRIDE: Final = {"starts_on": "2030-11-25", "ends_on": "2030-12-02", "hard_capacity_limit": 50, "reason": "peak"}
BODIES_OF_STOCK: Final[Mapping[Operation, Any]] = {
    Operation.IMPORT_STOCK: "warehouse,sku,quantity\nEWR,TEE,100\n",
    Operation.COMPENSATE_LEDGER: {},
    Operation.PICK_SHIPMENT: {"version": 1},
    Operation.PACK_SHIPMENT: {"version": 1},
    Operation.SHIP_SHIPMENT: {"version": 1, "carrier": "UPS"},
    Operation.MOVE_SHIPMENT: {"version": 1},
    Operation.DELIVER_SHIPMENT: {"version": 1},
    Operation.FAIL_SHIPMENT: {"version": 1, "reason": "lost"},
    Operation.CANCEL_SHIPMENT: {"version": 1, "reason": "mislabeled"},
    Operation.RESHIP_SHIPMENT: {"version": 1},
    Operation.REQUEST_TRANSFER: TRANSFER,
    Operation.SHIP_TRANSFER: {},
    Operation.RECEIVE_TRANSFER: {"received_quantity": 1},
    Operation.CANCEL_TRANSFER: {"reason": "not needed"},
    Operation.SET_CAPACITY_OVERRIDE: {**OVERRIDE, "warehouse_id": str(UUID(int=9))},
    Operation.CHANGE_CAPACITY_OVERRIDE: {**OVERRIDE, "version": 1},
    Operation.REMOVE_CAPACITY_OVERRIDE: {"version": 1},
    Operation.CREATE_WAREHOUSE: {**WAREHOUSE, "code": "NWK"},
    Operation.CHANGE_WAREHOUSE: {**WAREHOUSE, "version": 1},
    Operation.RECEIVE_STOCK: STOCK_LINES,
    Operation.ADJUST_STOCK: STOCK_LINES,
    Operation.SET_SAFETY_STOCK: {
        "warehouse_id": str(UUID(int=9)),
        "variant_id": str(UUID(int=9)),
        "safety_stock": 5,
    },
}
SPOILED_CLAIMS: Final[Mapping[str, dict[str, Any]]] = {
    "no claims": {},
    "no organization": {"sub": "ada"},
    "an empty organization": {"sub": "ada", "custom:organization_id": ""},
    "an organization that is no id": {"sub": "ada", "custom:organization_id": "demo"},
    "no subject": {"custom:organization_id": "01930000-0000-7000-8000-000000000001"},
    "an empty subject": {"sub": "", "custom:organization_id": "01930000-0000-7000-8000-000000000001"},
    "a subject with a NUL": {"sub": "a\x00", "custom:organization_id": "01930000-0000-7000-8000-000000000001"},
    "an endless subject": {"sub": "a" * 256, "custom:organization_id": "01930000-0000-7000-8000-000000000001"},
    "an unknown kind": {
        "sub": "ada",
        "custom:organization_id": "01930000-0000-7000-8000-000000000001",
        "custom:kind": "root",
    },
    "a guest without an id": {
        "sub": "ada",
        "custom:organization_id": "01930000-0000-7000-8000-000000000001",
        "custom:kind": "guest",
    },
}


def perform(door: Door, operation: Operation, who: Mapping[str, Any], order_id: str = "") -> Reply:
    key = ROUTE_OF[operation]
    # Anything but an order gets an id that does not exist: permission is checked before existence.
    named = {"reference": order_id, "order_id": order_id, "month": "2021-03"}
    path = {name: named.get(name, str(uuid7(datetime.now(UTC)))) for name in re.findall(r"{(\w+)}", key)}
    return door.ask(key, {**BODIES, **BODIES_OF_STOCK}.get(operation), who=who, **path)


def test_every_route_of_the_template_is_in_the_table_and_no_other() -> None:
    assert {route(properties) for _, _, properties in TEMPLATE.events("HttpApi")} == set(OPERATION_OF_ROUTE)
    assert set(FUNCTION_OF_ROUTE) == set(OPERATION_OF_ROUTE)


def test_the_same_routes_are_public_in_the_table_and_in_the_template() -> None:
    open_in_template = {
        route(properties)
        for _, _, properties in TEMPLATE.events("HttpApi")
        if properties.get("Auth", {}).get("Authorizer") == "NONE"
    }
    assert {key for key, operation in OPERATION_OF_ROUTE.items() if operation is PUBLIC} == open_in_template
    assert open_in_template == PUBLIC_ROUTES


def test_every_operation_has_one_route_and_an_entry() -> None:
    assert sorted(ROUTE_OF) == sorted(Operation)
    assert len(ROUTE_OF) == sum(operation is not PUBLIC for operation in OPERATION_OF_ROUTE.values())
    assert set(WHO_MAY) == set(Operation)


@pytest.mark.parametrize("operation", Operation)
def test_every_kind_of_caller_may_do_what_the_table_says_and_no_more(door: Door, operation: Operation) -> None:
    door.house.add_variant(stock=100)
    owner = door.customer()
    order_id = door.ask("POST /v1/checkout", checkout_body(), who=owner).body["order"]["id"]
    access = WHO_MAY[operation]
    shoppers = {CallerKind.CUSTOMER: owner, CallerKind.GUEST: door.guest()}
    for kind, who in shoppers.items():
        assert (perform(door, operation, who, order_id).status == 403) == (kind not in access.shoppers), kind
    for role in Role:
        reply = perform(door, operation, door.staff(role), order_id)
        expected = access.staff is not None and allows(role, access.staff)
        assert (reply.status != 403) == expected, (role, reply.raw)
    assert perform(door, operation, door.staff(None), order_id).status == 403


@pytest.mark.parametrize("change", ["m.status = 'removed'", "m.status = 'invited'", "u.status = 'suspended'"])
def test_a_member_who_left_is_out_at_once(door: Door, change: str) -> None:
    who = door.staff("admin")
    assert door.ask("GET /v1/orders", who=who).status == 200
    table = {"m": "tenancy.organization_members", "u": "tenancy.users"}[change[0]]
    door.house.sql(f"UPDATE {table} {change[0]} SET {change[2:]} WHERE true")
    assert door.ask("GET /v1/orders", who=who).status == 403


def test_a_role_in_one_shop_is_none_in_another(door: Door, stripe_url: str, secret_store: SecretStore) -> None:
    with House(door.house.owner, stripe_url, secret_store) as other:
        who = door.staff("owner") | {"custom:organization_id": str(other.organization_id)}
        assert door.ask("GET /v1/orders", who=who).status == 403


def test_shoppers_see_only_what_is_theirs(door: Door) -> None:
    door.house.add_variant(stock=100)
    people = [door.customer("ada"), door.customer("bob"), door.guest(), door.guest()]
    orders = [
        door.ask("POST /v1/checkout", checkout_body(email=f"p{number}@example.com"), who=who).body["order"]["id"]
        for number, who in enumerate(people)
    ]
    for who, own in zip(people, orders, strict=True):
        listed = [row["id"] for row in door.ask("GET /v1/orders", who=who).body["orders"]]
        assert listed == [own]
        for order_id in orders:
            expected = 200 if order_id == own else 404
            assert door.ask("GET /v1/orders/{reference}", who=who, reference=order_id).status == expected
            if order_id != own:
                assert perform(door, Operation.CANCEL_ORDER, who, order_id).status == 404
                assert perform(door, Operation.PAY_ORDER, who, order_id).status == 404
    staff = door.ask("GET /v1/orders", who=door.staff("viewer")).body["orders"]
    assert sorted(row["id"] for row in staff) == sorted(orders)
    assert door.house.violations() == []


def test_a_customer_id_is_no_key_to_somebody_elses_orders(door: Door) -> None:
    """A guest's token carries a customer id; the same claim, forged into another caller's token, must open nothing."""
    door.house.add_variant(stock=10)
    order = door.ask("POST /v1/checkout", checkout_body(), who=door.customer("ada")).body["order"]
    forged = door.customer("bob") | {"custom:guest_id": order["customer_id"]}
    assert door.ask("GET /v1/orders/{reference}", who=forged, reference=order["id"]).status == 404
    assert door.ask("GET /v1/orders", who=forged).body["orders"] == []


@pytest.mark.parametrize("key", WITH_AN_ORDER)
def test_another_organization_finds_nothing_on_any_route(
    door: Door, stripe_url: str, secret_store: SecretStore, key: str
) -> None:
    door.house.add_variant(stock=10)
    order = door.ask("POST /v1/checkout", checkout_body()).body["order"]
    operation = OPERATION_OF_ROUTE[key]
    assert operation is not None
    with House(door.house.owner, stripe_url, secret_store) as other:
        strangers: list[dict[str, str]] = []
        if CallerKind.CUSTOMER in WHO_MAY[operation].shoppers:
            strangers += [door.customer("ada", other.organization_id), door.customer("mallory", other.organization_id)]
            strangers.append(door.customer("ada", UUID(int=7)))
        if CallerKind.GUEST in WHO_MAY[operation].shoppers:
            strangers.append(door.guest() | {"custom:organization_id": str(other.organization_id)})
        if WHO_MAY[operation].staff is not None:
            strangers.append(door.staff("owner", organization_id=other.organization_id))
        assert strangers
        before = door.rows_of_all_tables()
        for who in strangers:
            for reference in (order["id"], order["order_number"], order["order_number"].lower()):
                assert perform(door, operation, who, reference).status == 404
        assert door.rows_of_all_tables() == before


def test_a_shop_that_is_not_there_takes_no_orders(door: Door) -> None:
    who = door.customer("ada", UUID(int=7))
    assert perform(door, Operation.PLACE_ORDER, who).status == 403
    assert perform(door, Operation.QUOTE_ORDER, who).status == 403
    assert door.ask("GET /v1/orders", who=who).body == {"orders": [], "next_before": None, "has_archived": False}


@pytest.mark.parametrize("claims", sorted(SPOILED_CLAIMS))
@pytest.mark.parametrize("operation", Operation)
def test_a_token_that_does_not_say_whose_it_is_opens_nothing(
    shared_door: Door, operation: Operation, claims: str
) -> None:
    reply = perform(shared_door, operation, SPOILED_CLAIMS[claims], "x")
    assert (reply.status, reply.body["code"]) == (401, "unauthenticated"), reply.raw


def test_an_event_without_an_authorizer_opens_nothing(shared_door: Door) -> None:
    authorizers: list[Any] = [None, {}, {"jwt": None}, {"jwt": {"claims": None}}, {"iam": {}}]
    for authorizer in authorizers:
        event = shared_door.sample("orders/list")
        event["requestContext"]["authorizer"] = authorizer
        assert shared_door.send(event).status == 401


@pytest.mark.parametrize(
    "subject", ["auth0|0123", "ada+shop@example.com", "CN=Ada Lovelace,O=Shop/R&D", "a'; DROP TABLE x; --", "a" * 255]
)
def test_subjects_of_any_issuer_can_shop_and_stay_apart(door: Door, subject: str) -> None:
    door.house.add_variant(stock=10)
    who, other = door.customer(subject), door.customer(subject[:-1] + "#")
    who["email"] = "ada@example.com"
    first = door.ask("POST /v1/checkout", checkout_body(), who=who, key="the-same-key")
    second = door.ask("POST /v1/checkout", checkout_body(email="b@example.com"), who=other, key="the-same-key")
    assert (first.status, second.status) == (201, 201), (first.raw, second.raw)
    assert first.body["order"]["id"] != second.body["order"]["id"]
    listed = door.ask("GET /v1/orders", who=who).body["orders"]
    assert [row["id"] for row in listed] == [first.body["order"]["id"]]
