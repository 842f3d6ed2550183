"""Stripe's signature and events, checked against the published vector and Stripe's own SDK."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import stripe
from hypothesis import given
from hypothesis import strategies as st

from holdfast.gateways.port import GatewayCredentials, GatewayEvent
from holdfast.gateways.stripe_webhooks import verify_and_parse_webhook, verify_signature
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.payment_events import DisputeOutcome, EventType

SECRET = "whsec_test_secret"
SIGNED_AT = 1763596800
NOW = datetime.fromtimestamp(SIGNED_AT, tz=UTC)
BODY = b'{"id":"evt_1","object":"event","type":"payment_intent.succeeded"}'
VECTOR = "0d8fee4a859f24d263dc4dd14c5badc0df1cbdd565c65868f4d7d5c2782155c9"
HEADER = f"t={SIGNED_AT},v1={VECTOR}"


def sdk_header(body: bytes, *, secret: str = SECRET, at: int = SIGNED_AT) -> str:
    return str(stripe.WebhookSignature.generate_signature_header(body.decode(), secret, at))


class TestSignature:
    def test_the_published_vector_is_accepted(self) -> None:
        verify_signature(HEADER, BODY, (SECRET,), NOW)
        assert sdk_header(BODY) == HEADER

    @given(
        body=st.text(alphabet=st.characters(codec="utf-8")), secret=st.text(st.characters(codec="ascii"), min_size=1)
    )
    def test_whatever_the_sdk_signs_is_accepted(self, body: str, secret: str) -> None:
        verify_signature(sdk_header(body.encode(), secret=secret), body.encode(), (secret,), NOW)

    @pytest.mark.parametrize("seconds", [-300, 0, 300])
    def test_five_minutes_of_difference_are_accepted_both_ways(self, seconds: int) -> None:
        verify_signature(HEADER, BODY, (SECRET,), NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize("seconds", [-301, 301, -86400, 86400])
    def test_more_than_five_minutes_are_refused_both_ways(self, seconds: int) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(HEADER, BODY, (SECRET,), NOW + timedelta(seconds=seconds))

    @pytest.mark.parametrize("secrets", [(SECRET, "whsec_old"), ("whsec_new", SECRET)])
    def test_any_secret_of_a_rotation_is_accepted(self, secrets: tuple[str, ...]) -> None:
        verify_signature(HEADER, BODY, secrets, NOW)

    def test_any_of_several_signatures_is_accepted(self) -> None:
        other = "0" * 64
        verify_signature(f"t={SIGNED_AT},v1={other},v0={other},v1={VECTOR}", BODY, (SECRET,), NOW)

    @pytest.mark.parametrize(
        "header",
        [
            None,
            "",
            "t=",
            f"t={SIGNED_AT}",
            f"v1={VECTOR}",
            f"t={SIGNED_AT},v0={VECTOR}",
            f"t={SIGNED_AT + 1},v1={VECTOR}",
            f"t={SIGNED_AT},t={SIGNED_AT},v1={VECTOR}",
            f"t={SIGNED_AT},v1={VECTOR[:-1]}",
            f"t={SIGNED_AT},v1={VECTOR.upper()}",
            f"t={SIGNED_AT},v1=é\ud800",
            f"t=-{SIGNED_AT},v1={VECTOR}",
            f"t={'9' * 5000},v1={VECTOR}",
            f"t=١٧٦٣٥٩٦٨٠٠,v1={VECTOR}",
            "garbage",
        ],
    )
    def test_a_header_that_proves_nothing_is_refused(self, header: str | None) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(header, BODY, (SECRET,), NOW)

    @pytest.mark.parametrize("body", [BODY + b"\n", BODY.replace(b":", b": "), BODY[:-1], b""])
    def test_one_changed_byte_is_refused(self, body: bytes) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(HEADER, body, (SECRET,), NOW)

    @pytest.mark.parametrize("secrets", [(), ("",), ("whsec_other",), ("test_secret",)])
    def test_another_secret_or_none_is_refused(self, secrets: tuple[str, ...]) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(HEADER, BODY, secrets, NOW)

    def test_an_empty_secret_proves_nothing(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(sdk_header(BODY, secret=""), BODY, ("",), NOW)

    def test_bytes_that_are_no_text_are_compared_as_they_are(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(HEADER, b"\xff\xfe\x00", (SECRET,), NOW)


def parse(event: Any) -> GatewayEvent:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = {"stripe-signature": sdk_header(body)} if _is_text(body) else {}
    (parsed,) = verify_and_parse_webhook(header, body, GatewayCredentials("sk_test_1", (SECRET,)), NOW)
    return parsed


def _is_text(body: bytes) -> bool:
    try:
        return bool(body.decode())
    except UnicodeDecodeError:
        return False


PAYMENT_ID = uuid4()
REFUND_ID = uuid4()


def event(event_type: str, **thing: Any) -> dict[str, Any]:
    return {"id": "evt_1", "object": "event", "type": event_type, "created": SIGNED_AT, "data": {"object": thing}}


def intent_event(event_type: str, **fields: Any) -> dict[str, Any]:
    intent = {
        "id": "pi_1", "amount": 1999, "amount_received": 0, "currency": "usd", "latest_charge": "ch_1",
        "last_payment_error": None, "metadata": {"payment_id": str(PAYMENT_ID)},
    }  # fmt: skip
    return event(f"payment_intent.{event_type}", **{**intent, **fields})


def charge_event(event_type: str, **fields: Any) -> dict[str, Any]:
    charge = {"id": "ch_1", "amount": 1999, "amount_captured": 0, "currency": "usd", "payment_intent": "pi_1"}
    return event(f"charge.{event_type}", **{**charge, **fields})


def refund_event(event_type: str, status: str, **fields: Any) -> dict[str, Any]:
    refund = {
        "id": "re_1", "amount": 500, "currency": "usd", "payment_intent": "pi_1", "status": status,
        "metadata": {"refund_id": str(REFUND_ID)},
    }  # fmt: skip
    return event(f"refund.{event_type}", **{**refund, **fields})


class TestTranslation:
    @pytest.mark.parametrize(
        ("stripe_event", "expected"),
        [
            (intent_event("amount_capturable_updated", amount_capturable=1999), EventType.AUTHORIZATION_SUCCEEDED),
            (intent_event("succeeded", amount_received=1999), EventType.CAPTURE_SUCCEEDED),
            (charge_event("captured", amount_captured=1999), EventType.CAPTURE_SUCCEEDED),
            (intent_event("payment_failed"), EventType.AUTHORIZATION_FAILED),
            (
                intent_event("payment_failed", last_payment_error={"code": "capture_charge_authorization_expired"}),
                EventType.CAPTURE_FAILED,
            ),
            (intent_event("requires_action"), EventType.ACTION_REQUIRED),
            (intent_event("processing"), EventType.PAYMENT_PROCESSING),
            (intent_event("canceled", cancellation_reason="abandoned"), EventType.CANCELLATION_SUCCEEDED),
            (intent_event("canceled", cancellation_reason="automatic"), EventType.AUTHORIZATION_EXPIRED),
            (intent_event("canceled", cancellation_reason="expired"), EventType.AUTHORIZATION_EXPIRED),
            (charge_event("expired"), EventType.AUTHORIZATION_EXPIRED),
            (refund_event("created", "pending"), EventType.REFUND_REQUESTED),
            (refund_event("created", "succeeded"), EventType.REFUND_SUCCEEDED),
            (refund_event("updated", "succeeded"), EventType.REFUND_SUCCEEDED),
            (refund_event("updated", "failed", failure_reason="unknown"), EventType.REFUND_FAILED),
            (refund_event("failed", "failed", failure_reason="unknown"), EventType.REFUND_FAILED),
            (refund_event("updated", "canceled"), EventType.REFUND_FAILED),
            (charge_event("dispute.created", reason="fraudulent"), EventType.DISPUTE_OPENED),
            (charge_event("dispute.updated"), EventType.DISPUTE_UPDATED),
            (charge_event("dispute.closed"), EventType.DISPUTE_CLOSED),
        ],
        ids=lambda value: value["type"] if isinstance(value, dict) else str(value),
    )
    def test_each_event_of_stripes_has_its_one_meaning(self, stripe_event: dict[str, Any], expected: EventType) -> None:
        parsed = parse(stripe_event)
        assert parsed.event_type is expected
        assert parsed.gateway_event_type == stripe_event["type"]
        assert parsed.gateway_event_id == "evt_1"
        assert parsed.gateway_transaction_id == "pi_1"
        assert parsed.currency == "USD"
        assert parsed.occurred_at == NOW
        assert parsed.payload == stripe_event

    @pytest.mark.parametrize(
        ("status", "outcome", "lost_minor"),
        [
            ("won", DisputeOutcome.WON, 0),
            ("lost", DisputeOutcome.LOST, 1999),
            ("warning_closed", DisputeOutcome.WITHDRAWN, 0),
        ],
    )
    @pytest.mark.parametrize("word", ["closed", "updated", "funds_reinstated"])
    def test_a_decided_dispute_is_closed_whatever_brings_it(
        self, word: str, status: str, outcome: DisputeOutcome, lost_minor: int
    ) -> None:
        parsed = parse(charge_event(f"dispute.{word}", status=status))
        assert parsed.event_type is EventType.DISPUTE_CLOSED
        assert (parsed.dispute_outcome, parsed.dispute_lost_minor) == (outcome, lost_minor)

    def test_a_dispute_says_why_and_until_when(self) -> None:
        told = {"reason": "fraudulent", "status": "needs_response", "evidence_details": {"due_by": 1796083200}}
        parsed = parse(charge_event("dispute.created", **told))
        assert (parsed.dispute_reason, parsed.dispute_due_at) == ("fraudulent", datetime(2026, 12, 1, tzinfo=UTC))
        assert parsed.dispute_outcome is None

    @pytest.mark.parametrize(
        "stripe_event",
        [
            event("customer.created", id="cus_1"),
            event("charge.succeeded", id="ch_1"),
            event("payment_intent.created", id="pi_1"),
            event("something.stripe.invents.tomorrow"),
        ],
        ids=lambda value: value["type"],
    )
    def test_an_event_nothing_is_done_about_is_kept_without_a_meaning(self, stripe_event: dict[str, Any]) -> None:
        parsed = parse(stripe_event)
        assert parsed.event_type is None
        assert parsed.gateway_event_type == stripe_event["type"]

    def test_two_words_for_one_capture_carry_the_same_cumulative_figure(self) -> None:
        intent = parse(intent_event("succeeded", amount_received=1200))
        charge = parse(charge_event("captured", amount_captured=1200))
        assert intent.captured_minor == charge.captured_minor == 1200
        assert intent.authorized_minor == charge.authorized_minor == 1999

    def test_our_ids_come_back_and_foreign_ones_are_ignored(self) -> None:
        assert parse(intent_event("succeeded")).payment_id == PAYMENT_ID
        assert parse(refund_event("created", "succeeded")).refund_id == REFUND_ID
        assert parse(intent_event("succeeded", metadata={"payment_id": "4711"})).payment_id is None
        assert parse(intent_event("succeeded", metadata={})).payment_id is None

    def test_a_failure_names_the_most_specific_reason(self) -> None:
        error = {"code": "card_declined", "decline_code": "insufficient_funds", "message": "Not enough."}
        parsed = parse(intent_event("payment_failed", last_payment_error=error))
        assert (parsed.failure_code, parsed.failure_message) == ("insufficient_funds", "Not enough.")

    @pytest.mark.parametrize(
        ("currency", "stripe_amount", "minor"), [("jpy", 500, 500), ("isk", 500, 5), ("mga", 5, 500)]
    )
    def test_amounts_are_in_iso_minor_units(self, currency: str, stripe_amount: int, minor: int) -> None:
        parsed = parse(
            intent_event("succeeded", currency=currency, amount=stripe_amount, amount_received=stripe_amount)
        )
        assert (parsed.amount_minor, parsed.captured_minor) == (minor, minor)

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"[]",
            b"null",
            b"not json",
            b'{"id": "evt_1", "type": ["a"], "created": 1, "data": {"object": {}}}',
            b'{"id": 1, "type": "customer.created", "created": 1, "data": {"object": {}}}',
            b'{"type": "payment_intent.succeeded", "created": 1, "data": {"object": {}}}',
            b"[" * 100_000,
        ],
        ids=range(8),
    )
    def test_a_signed_body_without_an_id_and_a_type_is_refused_as_input(self, body: bytes) -> None:
        with pytest.raises(InvalidInput):
            parse(body)

    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            ({"id": "evt_1", "type": "payment_intent.succeeded"}, "capture_succeeded"),
            ({"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": {}}}, "capture_succeeded"),
            ({"id": "evt_1", "type": "charge.expired", "created": 1, "data": {"object": []}}, "authorization_expired"),
            ({"id": "evt_1", "type": "charge.dispute.closed", "created": 1, "data": 7}, "dispute_closed"),
            (refund_event("created", "strange"), "refund_requested"),
            ({**intent_event("succeeded"), "created": 99999999999999}, "capture_succeeded"),
            (intent_event("succeeded", currency="dollars"), "capture_succeeded"),
            ({"id": "evt_1", "type": "customer.created", "created": float("inf"), "data": {"object": {}}}, None),
        ],
        ids=range(8),
    )
    def test_a_signed_event_that_cannot_be_read_is_kept_whole(self, event: dict[str, Any], kind: str | None) -> None:
        unread = parse(json.dumps(event).encode())
        assert (unread.gateway_event_id, unread.gateway_event_type) == (event["id"], event["type"])
        assert (unread.event_type, unread.occurred_at, unread.currency) == (kind, NOW, NO_CURRENCY)
        assert (unread.amount_minor, unread.captured_minor, unread.payload) == (None, None, event)

    def test_a_signed_event_that_cannot_be_read_is_known_for_its_payments(self) -> None:
        assert parse(intent_event("succeeded", currency="dollars")).payment_id == PAYMENT_ID

    def test_nothing_is_parsed_before_the_sender_is_proven(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook({}, b"not json", GatewayCredentials("sk_test_1", (SECRET,)), NOW)
