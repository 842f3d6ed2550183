"""Every sample event in events/ makes its function do what the sample's name says."""

import base64
import gzip
import json
import time
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from holdfast.flows.operations import keep_house
from holdfast.settings import settings
from local import sample_events
from local.documented import DOCUMENT
from tests.flows.actions import authenticate
from tests.handlers.door import PROBLEM, Door, Reply, checkout_body
from tests.house import House

SKU = "TEE-BLK-M"
ASKS = "pm_card_authenticationRequired"


@pytest.fixture
def shop(door: Door) -> Door:
    """Return a door into a house that sells what the samples order."""
    door.house.add_variant(SKU, stock=10)
    return door


def send(door: Door, name: str, *, order_id: str | None = None) -> Reply:
    return door.send(door.sample(name) if order_id is None else door.sample(name, order_id=order_id))


def test_every_sample_is_driven_here() -> None:
    driven = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert [name for name in sample_events.names() if f'"{name}"' not in driven] == []


def test_place_order_pays_and_confirms(shop: Door) -> None:
    reply = send(shop, "checkout/place_order")
    assert reply.status == 201
    assert reply.body["order"]["status"] == "confirmed"
    assert reply.body["payment"]["status"] == "captured"
    assert shop.house.stock(SKU) == {"EWR": (8, 0)}
    again = send(shop, "checkout/place_order")
    assert (again.status, again.raw) == (201, reply.raw)
    assert shop.house.violations() == []


def test_place_order_as_guest_is_the_guests_own(shop: Door) -> None:
    reply = send(shop, "checkout/place_order_as_guest")
    assert reply.status == 201
    assert reply.body["order"]["customer_id"] == "01930000-0000-7000-8000-0000000000f1"


def test_place_order_declined_can_be_paid_again(shop: Door) -> None:
    declined = send(shop, "checkout/place_order_declined")
    assert (declined.status, declined.content_type) == (402, PROBLEM)
    assert declined.body["code"] == "payment_declined"
    assert declined.body["order"]["status"] == "payment_failed"
    paid = send(shop, "checkout/pay_again", order_id=declined.body["order"]["id"])
    assert paid.status == 201
    assert paid.body["order"]["status"] == "confirmed"
    assert [payment["status"] for payment in paid.body["order"]["payments"]] == ["failed", "captured"]
    assert shop.house.violations() == []


def test_complete_payment_ends_what_the_shopper_did_elsewhere(shop: Door) -> None:
    body = checkout_body(items=[{"sku": SKU, "quantity": 1}], payment={"gateway": "stripe", "token": ASKS})
    shopper = shop.sample("orders/list")["requestContext"]["authorizer"]["jwt"]["claims"]
    asked = shop.ask("POST /v1/checkout", body, who=shopper)
    assert asked.body["payment"]["status"] == "requires_action"
    authenticate(shop.house, asked.body["order"]["id"])
    event = shop.sample("checkout/complete_payment", order_id=asked.body["order"]["id"])
    event["rawPath"] = event["rawPath"].replace(event["pathParameters"]["payment_id"], asked.body["payment"]["id"])
    event["pathParameters"]["payment_id"] = asked.body["payment"]["id"]
    for _ in range(2):
        reply = shop.send(event)
        assert (reply.status, reply.body["order"]["status"]) == (200, "confirmed")


def test_place_order_with_unknown_field_names_it(shop: Door) -> None:
    reply = send(shop, "checkout/place_order_with_unknown_field")
    assert reply.status == 422
    assert [error["field"] for error in reply.body["errors"]] == ["discount_minor"]


def test_place_order_without_idempotency_key_is_refused(shop: Door) -> None:
    assert send(shop, "checkout/place_order_without_idempotency_key").status == 400


def test_quote_holds_nothing(shop: Door) -> None:
    before = shop.rows_of_all_tables()
    reply = send(shop, "checkout/quote")
    assert reply.status == 200
    assert reply.body["allocation"]["assignments"][0]["warehouse"] == "EWR"
    assert shop.rows_of_all_tables() == before


def test_orders_are_listed_found_and_cancelled(shop: Door) -> None:
    order = send(shop, "checkout/place_order").body["order"]
    page = send(shop, "orders/list")
    assert [row["id"] for row in page.body["orders"]] == [order["id"]]
    found = send(shop, "orders/find_by_id", order_id=order["id"])
    assert found.body["order"]["items"] == order["items"]
    cancelled = send(shop, "orders/cancel", order_id=order["id"])
    assert cancelled.body["order"]["status"] == "cancelled"
    assert shop.house.stock(SKU) == {"EWR": (10, 0)}
    assert shop.house.charges()["refunded"] == shop.house.charges()["captured"] > 0
    assert shop.house.violations() == []


def test_staff_capture_a_part_of_what_is_held(shop: Door) -> None:
    shop.house.sql('UPDATE tenancy.organizations SET settings = settings || \'{"capture_policy": "per_shipment"}\'')
    order_id = send(shop, "checkout/place_order").body["order"]["id"]
    event = shop.sample("orders/capture", order_id=order_id)
    event["requestContext"]["authorizer"]["jwt"]["claims"] |= shop.staff("manager")
    payment = shop.send(event).body["order"]["payments"][0]
    assert (payment["status"], payment["captured_minor"]) == ("captured", 1200)
    assert shop.house.violations() == []


def test_find_by_id_as_staff_asks_the_organizations_records(shop: Door) -> None:
    order_id = send(shop, "checkout/place_order").body["order"]["id"]
    event = shop.sample("orders/find_by_id_as_staff", order_id=order_id)
    assert shop.send(event).status == 403
    event["requestContext"]["authorizer"]["jwt"]["claims"] |= shop.staff("viewer")
    assert shop.send(event).status == 200


def test_the_inbox_of_failures_and_the_timeline_are_for_managers(shop: Door) -> None:
    order_id = send(shop, "checkout/place_order").body["order"]["id"]
    failure_id = "01930000-0000-7000-8000-0000000000e1"
    shop.house.sql(
        "INSERT INTO operations.process_failures (organization_id, id, process_name, details, created_at)"
        " VALUES (:o, :id, 'PaymentUndecided', 'nobody knows', now())",
        o=shop.house.organization_id,
        id=failure_id,
    )

    def as_manager(name: str) -> Reply:
        event = shop.sample(name, order_id=order_id)
        assert shop.send(event).status == 403
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= shop.staff("manager")
        return shop.send(event)

    listed = as_manager("process_failures/list").body["process_failures"]
    assert [failure["id"] for failure in listed] == [failure_id]
    found = as_manager("process_failures/find").body["process_failure"]
    assert [step["action"] for step in found.pop("history")] == ["opened"]
    assert found == listed[0]
    assert as_manager("process_failures/assign").body["process_failure"]["version"] == 2
    stale = as_manager("process_failures/resolve")
    assert (stale.status, stale.body["code"], stale.body["version"]) == (409, "conflict", 2)
    assert as_manager("process_failures/unassign").body["process_failure"]["assigned_to"] is None
    assert as_manager("process_failures/reopen").body["detail"] == "the failure is open already"
    assert len(as_manager("process_failures/counts").body["processes"]) > 10
    assert as_manager("money/gateways").body["gateways"][0]["calls"]["count"] >= 1
    assert as_manager("order_timeline/show").body["order_id"] == order_id


def test_the_books_disputes_and_the_refold_are_for_managers(shop: Door) -> None:
    send(shop, "checkout/place_order")

    def as_manager(name: str) -> Reply:
        event = shop.sample(name)
        assert shop.send(event).status == 403
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= shop.staff("manager")
        return shop.send(event)

    assert as_manager("money/money_report").body["differences"] == []
    assert as_manager("money/disputes").body == {"disputes": [], "next_before": None}
    assert as_manager("money/refold").body == {"checked": 1, "differences": [], "next_after": None}
    assert as_manager("money/retry_operation").status == 404, "nothing was given up"
    assert as_manager("money/give_up_payment").status == 404


def test_the_money_watchdog_looks_after_every_organization(shop: Door, capsys: pytest.CaptureFixture[str]) -> None:
    send(shop, "checkout/place_order")
    done = shop.invoke("money_watchdog", shop.sample("money_watchdog/tick"), seconds=60)
    assert done == {"organizations": 1, "asked": 0, "differences": 0, "disputes_due_soon": 0, "failed": 0}
    told = capsys.readouterr().out
    assert all(metric in told for metric in ("PaymentsReconciled", "MoneyDifferencesOpen", "DisputesDueSoon"))


def test_a_webhook_is_kept_once_and_answered_twice(shop: Door) -> None:
    events = shop.rows_of_all_tables()["payments.payment_events"]
    for _ in range(2):
        reply = send(shop, "payment_webhooks/stripe_payment_intent_succeeded")
        assert (reply.status, reply.body) == (200, {"received": True})
    assert shop.rows_of_all_tables()["payments.payment_events"] == events + 1


def test_the_webhook_of_a_deployment_with_one_account_goes_to_its_default_endpoint(shop: Door) -> None:
    name = "payment_webhooks/stripe_payment_intent_payment_failed"
    assert send(shop, name).status == 404
    shop.house.sql("UPDATE tenancy.gateway_accounts SET endpoint_key = 'default-stripe'")
    assert send(shop, name).status == 200


def test_a_webhook_without_signature_is_refused(shop: Door) -> None:
    before = shop.rows_of_all_tables()
    reply = send(shop, "payment_webhooks/stripe_without_signature")
    assert (reply.status, reply.body["code"]) == (401, "signature_invalid")
    assert shop.rows_of_all_tables() == before


def test_announced_events_that_are_not_there_need_no_other_try(shop: Door) -> None:
    for name in ("payment_events/one_event", "payment_events/batch_of_three"):
        assert shop.invoke("payment_events", shop.sample(name)) == {"batchItemFailures": []}


def test_a_message_that_is_not_json_comes_again_alone(shop: Door) -> None:
    answer = shop.invoke("payment_events", shop.sample("payment_events/one_message_is_not_json"))
    assert answer == {"batchItemFailures": [{"itemIdentifier": "0f6f1d6e-6f2c-4b0e-9a55-3d1c5a7b9e02"}]}


def test_the_watchdog_announces_what_waits(shop: Door) -> None:
    send(shop, "payment_webhooks/stripe_payment_intent_succeeded")
    shop.house.sql("UPDATE payments.payment_events SET next_attempt_at = now() - interval '1 hour'")
    done = shop.invoke("payment_watchdog", shop.sample("payment_watchdog/tick"))
    assert done == {
        "events_announced": 1,
        "payments_checked": 0,
        "returns_resumed": 0,
        "authorizations_looked_after": 0,
        "methods_forgotten": 0,
        "gateway_accounts_left_alone": 0,
    }


def test_the_keeper_of_the_dead_letters_looks_at_all_of_them(shop: Door) -> None:
    done = shop.invoke("dlq_retries", shop.sample("dlq_retries/tick"))
    assert done == {"replayed": 0, "failed": 0, "withdrawn": 0, "replayed_in_groups": 0, "open": 0, "alerted": 0}


def test_what_a_queue_gave_up_waits_for_a_person(shop: Door) -> None:
    answer = shop.invoke("dead_letter_queues", shop.sample("dead_letter_queues/three_given_up"))
    assert answer == {"batchItemFailures": []}
    assert shop.house.value("SELECT count(*) FROM operations.process_failures WHERE status = 'open'") == 3


def test_expiry_releases_what_is_due(shop: Door) -> None:
    order = send(shop, "checkout/place_order_declined").body["order"]
    shop.house.sql("UPDATE inventory.reservations SET expires_at = now() - interval '1 minute'")
    done = shop.invoke("reservation_expiry", shop.sample("reservation_expiry/tick"))
    assert (done["released"], done["finished"]) == (1, True)
    assert shop.house.stock(SKU) == {"EWR": (10, 0)}
    assert send(shop, "orders/find_by_id", order_id=order["id"]).body["order"]["status"] == "payment_failed"
    assert shop.house.violations() == []


@pytest.mark.parametrize("name", ["outbox_relay/bell", "outbox_relay/tick"])
def test_the_relay_publishes_what_was_committed(shop: Door, name: str) -> None:
    send(shop, "checkout/place_order")
    assert shop.invoke("outbox_relay", shop.sample(name)) == {"batchItemFailures": []}
    assert shop.house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL") == 0
    assert shop.house.value("SELECT count(*) FROM operations.outbox") >= 3


def test_housekeeping_makes_the_partitions_of_coming_months(shop: Door) -> None:
    done = shop.invoke("housekeeping", shop.sample("housekeeping/tick"))
    assert set(done["purged"]) == set(keep_house._PURGES)
    assert set(done["purged"].values()) == {0}


def test_postal_codes_are_imported_by_hand_and_bad_rows_are_told(shop: Door) -> None:
    told = shop.invoke("geocode_imports", shop.sample("geocode_imports/file"))
    assert (told["outcome"], told["rows"], told["added"], told["bad"]) == ("imported", 3, 2, 1)
    assert told["bad_rows"] == [{"line": 4, "problem": "latitude is not a number: 'north'"}]
    again = shop.invoke("geocode_imports", shop.sample("geocode_imports/file"))
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, 2)


def test_without_a_file_the_postal_codes_that_ship_with_the_code_are_imported_once(shop: Door) -> None:
    told = shop.invoke("geocode_imports", shop.sample("geocode_imports/shipped"))
    assert told["added"] > 41_000
    assert shop.invoke("geocode_imports", shop.sample("geocode_imports/shipped")) == {"outcome": "already_there"}


def test_a_file_that_is_none_is_refused_and_changes_nothing(shop: Door) -> None:
    before = shop.house.value("SELECT count(*) FROM addresses.geocode_reference")
    file = shop.sample("geocode_imports/file")
    for wrong in ({"csv_gzip_base64": "x"}, {"csv_gzip_base64": "eA=="}, {"data_source": ""}, {"more": 1}):
        with pytest.raises(Exception, match=r"validation error|base64|padding|gzip"):
            shop.invoke("geocode_imports", file | wrong)
    assert shop.house.value("SELECT count(*) FROM addresses.geocode_reference") == before


def test_a_run_without_time_leaves_the_rest_to_the_next(shop: Door) -> None:
    send(shop, "checkout/place_order")
    waiting = shop.house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL")
    shop.invoke("outbox_relay", shop.sample("outbox_relay/tick"), seconds=5)
    assert shop.house.value("SELECT count(*) FROM operations.outbox WHERE published_at IS NULL") == waiting


def test_the_document_and_the_health_are_open_to_all(shop: Door) -> None:
    document = send(shop, "api_docs/openapi_document")
    assert document.body["openapi"] == "3.1.0"
    assert document.headers["cache-control"] == "public, max-age=300"
    assert send(shop, "api_docs/health").body == {"status": "ok"}


def test_the_document_is_served_without_its_indentation_and_packed_for_whoever_unpacks_it(shop: Door) -> None:
    plain = send(shop, "api_docs/openapi_document")
    assert plain.body == json.loads(DOCUMENT.read_text(encoding="utf-8"))
    assert len(plain.raw) < DOCUMENT.stat().st_size / 2
    event = shop.sample("api_docs/openapi_document")
    event["headers"]["accept-encoding"] = "gzip, br"
    packed = shop.invoke("api_docs", event)
    assert packed["headers"]["Content-Encoding"] == "gzip"
    assert gzip.decompress(base64.b64decode(packed["body"])).decode() == plain.raw


@pytest.fixture
def deployment(house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Set up the environment of the migration and yield the name of the master user's secret.

    The role that IAM logins need is created as well.
    """
    house.sql("CREATE ROLE rds_iam")
    name = f"master/{uuid.uuid4().hex}"
    owner = house.owner
    boto3.client("secretsmanager").create_secret(
        Name=name, SecretString=json.dumps({"username": owner.user, "password": owner.password})
    )
    for variable, value in (
        ("DATABASE_HOST", owner.host),
        ("DATABASE_PORT", str(owner.port)),
        ("DATABASE_NAME", owner.database),
        ("DATABASE_TLS", "off"),
        ("DATABASE_MASTER_SECRET_ARN", name),
    ):
        monkeypatch.setenv(variable, value)
    settings.cache_clear()
    yield name
    settings.cache_clear()
    house.sql("DROP ROLE rds_iam")


@pytest.mark.usefixtures("deployment")
def test_migrating_a_current_database_changes_nothing(door: Door) -> None:
    before = door.rows_of_all_tables()
    for _ in range(2):
        assert door.invoke("migrate", door.sample("migrate/upgrade")) == {"upgraded_to": "head"}
    assert door.rows_of_all_tables() == before
    assert door.house.value("SELECT pg_has_role('holdfast_app', 'rds_iam', 'MEMBER')")


def test_the_deployment_opens_a_shop_and_is_told_what_is_wrong_with_its_file(door: Door) -> None:
    owner = door.house._runtime("holdfast_owner", door.house.runtime.secrets)
    file = door.sample("migrate/open_shop")
    told = door.invoke("migrate", file, runtime=owner)
    assert (told["outcome"], told["rows"]["variants"]["made"]) == ("opened", 2)
    assert door.invoke("migrate", file, runtime=owner)["rows"]["variants"]["unchanged"] == 2
    gone = {"stock": [{"warehouse": "CHI", "sku": "GONE", "quantity": 1}]}
    refused = door.invoke("migrate", file | gone, runtime=owner)
    assert (refused["outcome"], refused["code"]) == ("refused", "invalid_input")
    assert refused["errors"] == [{"field": "stock.0", "message": "there is no SKU GONE"}]
    owner.database.engine.dispose()


def test_a_signed_sample_is_good_for_minutes_and_no_more() -> None:
    name = "payment_webhooks/stripe_payment_intent_succeeded"
    signature = sample_events.render(name, now=datetime.now(UTC))["headers"]["stripe-signature"]
    assert abs(int(signature.split(",")[0].removeprefix("t=")) - time.time()) < 60


def test_a_refund_gives_back_what_is_left_and_is_listed(shop: Door) -> None:
    order_id = send(shop, "checkout/place_order").body["order"]["id"]
    manager = shop.staff("manager")

    def as_manager(name: str) -> Reply:
        event = shop.sample(name, order_id=order_id)
        assert shop.send(event).status == 403
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= manager
        return shop.send(event)

    by_amount = as_manager("refunds/refund_by_amount")
    assert by_amount.status == 201
    assert [made["amount_minor"] for made in by_amount.body["refunds"]] == [500]
    whole = as_manager("refunds/refund_in_full")
    assert (whole.status, whole.body["order"]["status"]) == (201, "cancelled")
    again = as_manager("refunds/refund_in_full")
    assert (again.status, again.raw) == (201, whole.raw)
    listed = as_manager("refunds/list")
    assert [made["status"] for made in listed.body["refunds"]] == ["succeeded", "succeeded"]
    assert listed.body["refunds"][1]["notes"] == "called on Monday"
    assert shop.house.violations() == []
