"""Square's webhooks: whether Square sent them, and what they say."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any
from uuid import UUID

import pytest
from square.utils.webhooks_helper import verify_signature as verified_by_square

from holdfast.gateways.port import GatewayCredentials, GatewayEvent
from holdfast.gateways.square_objects import note_of, reason_of
from holdfast.gateways.square_webhooks import SIGNATURE_HEADER, verify_and_parse_webhook, verify_signature
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.money import Money
from holdfast.values.payment_events import DisputeOutcome, EventType
from tests.gateways.square_stage import SquareStage

KEY, URL = "sq_sig_key", "https://example.test/webhooks/square"
BODY = b'{"merchant_id":"M1","type":"payment.updated","event_id":"e1"}'
SIGNATURE = "rKctMoyi0eqBY7B0cAWf5B9IUOheOpD1ewXeBOtVEi0="
NOW = datetime(2026, 11, 20, tzinfo=UTC)
ACCOUNT = GatewayCredentials("EAAA", (KEY,), notification_url=URL)
PAYMENT_ID, REFUND_ID = UUID(int=1), UUID(int=2)


def signed(body: bytes, key: str = KEY, url: str = URL) -> str:
    return b64encode(digest(key.encode(), url.encode() + body, sha256)).decode()


def parse(kind: str, thing: dict[str, Any], event_name: str | None = None) -> GatewayEvent:
    payload = {
        "merchant_id": "M1",
        "type": event_name or f"{kind}.updated",
        "event_id": "e1",
        "created_at": "2026-11-20T10:00:00.123Z",
        "data": {"type": kind, "id": "x", "object": {kind: thing}},
    }
    body = json.dumps(payload).encode()
    (event,) = verify_and_parse_webhook({SIGNATURE_HEADER: signed(body)}, body, ACCOUNT, NOW)
    return event


def payment(**changes: Any) -> dict[str, Any]:
    return {
        "id": "p1",
        "status": "COMPLETED",
        "amount_money": {"amount": 1999, "currency": "USD"},
        "reference_id": str(PAYMENT_ID),
        "note": note_of("HF-1", Money(1999, "USD")),
        "delayed_until": "2026-11-27T10:00:00.000Z",
        "updated_at": "2026-11-20T10:00:00.000Z",
        **changes,
    }


class TestSignature:
    def test_the_published_vector_verifies(self) -> None:
        verify_signature(SIGNATURE, BODY, (KEY,), URL)

    def test_squares_own_sdk_agrees(self, square_stage: SquareStage) -> None:
        text, key, url = BODY.decode(), KEY, URL
        assert verified_by_square(
            request_body=text, signature_header=SIGNATURE, signature_key=key, notification_url=url
        )
        square_stage.gateway.authorize(square_stage.request(), deadline_seconds=5)
        for delivery in square_stage.receiver.wait_until(bool):
            assert verified_by_square(
                request_body=delivery.body.decode(),
                signature_header=delivery.headers[SIGNATURE_HEADER],
                signature_key=square_stage.secret,
                notification_url=square_stage.receiver.url,
            )

    @pytest.mark.parametrize(
        ("signature", "body", "secrets", "url"),
        [
            (SIGNATURE, BODY + b" ", (KEY,), URL),
            (SIGNATURE, BODY, ("another",), URL),
            (SIGNATURE, BODY, (), URL),
            (SIGNATURE, BODY, ("",), URL),
            (SIGNATURE, BODY, (KEY,), URL + "/"),
            (SIGNATURE, BODY, (KEY,), None),
            (SIGNATURE[:-2] + "1=", BODY, (KEY,), URL),
            ("", BODY, (KEY,), URL),
            ("ü", BODY, (KEY,), URL),
            (None, BODY, (KEY,), URL),
        ],
    )
    def test_anything_else_is_refused(
        self, signature: str | None, body: bytes, secrets: tuple[str, ...], url: str | None
    ) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(signature, body, secrets, url)

    def test_a_rotation_has_two_keys(self) -> None:
        verify_signature(SIGNATURE, BODY, ("next", KEY), URL)

    def test_a_webhook_without_a_signature_is_not_read(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook({}, b"not json", ACCOUNT, NOW)


class TestReading:
    @pytest.mark.parametrize(
        ("status", "event_type", "captured"),
        [
            ("APPROVED", EventType.AUTHORIZATION_SUCCEEDED, 0),
            ("PENDING", EventType.PAYMENT_PROCESSING, 0),
            ("COMPLETED", EventType.CAPTURE_SUCCEEDED, 1999),
            ("CANCELED", EventType.CANCELLATION_SUCCEEDED, 0),
            ("FAILED", EventType.AUTHORIZATION_FAILED, 0),
        ],
    )
    def test_a_payments_status_decides(self, status: str, event_type: EventType, captured: int) -> None:
        event = parse("payment", payment(status=status))
        assert (event.event_type, event.captured_minor, event.payment_id) == (event_type, captured, PAYMENT_ID)
        assert (event.gateway_event_id, event.gateway_transaction_id) == ("e1", "p1")
        assert event.occurred_at == NOW + timedelta(hours=10, microseconds=123_000)

    def test_a_part_that_was_captured_is_told_apart_from_what_was_asked(self) -> None:
        event = parse("payment", payment(amount_money={"amount": 1200, "currency": "USD"}))
        assert (event.amount_minor, event.authorized_minor, event.captured_minor) == (1999, 1999, 1200)

    def test_a_payment_without_our_note_does_not_say_what_was_asked(self) -> None:
        event = parse("payment", payment(note="paid at the counter", reference_id="42"))
        assert (event.amount_minor, event.payment_id, event.currency) == (None, None, "USD")

    def test_a_hold_whose_window_closed_has_expired(self) -> None:
        event = parse("payment", payment(status="CANCELED", updated_at="2026-11-27T10:00:00.000Z"))
        assert event.event_type is EventType.AUTHORIZATION_EXPIRED

    def test_a_payment_that_failed_after_it_was_held_is_a_failed_capture(self) -> None:
        details = {"card_payment_timeline": {"authorized_at": "2026-11-20T10:00:00Z"},
                   "errors": [{"code": "CARD_EXPIRED", "detail": "expired"}]}  # fmt: skip
        event = parse("payment", payment(status="FAILED", card_details=details))
        assert (event.event_type, event.failure_code) == (EventType.CAPTURE_FAILED, "card_expired")

    @pytest.mark.parametrize(
        ("status", "event_type", "code"),
        [
            ("PENDING", EventType.REFUND_REQUESTED, None),
            ("COMPLETED", EventType.REFUND_SUCCEEDED, None),
            ("REJECTED", EventType.REFUND_FAILED, "rejected"),
            ("FAILED", EventType.REFUND_FAILED, "failed"),
        ],
    )
    def test_a_refund_names_our_refund(self, status: str, event_type: EventType, code: str | None) -> None:
        refund = {
            "id": "r1",
            "status": status,
            "payment_id": "p1",
            "amount_money": {"amount": 500, "currency": "USD"},
            "reason": reason_of("customer_request", REFUND_ID),
        }
        event = parse("refund", refund)
        assert (event.event_type, event.failure_code, event.refund_id) == (event_type, code, REFUND_ID)
        assert (event.gateway_refund_id, event.gateway_transaction_id, event.amount_minor) == ("r1", "p1", 500)

    @pytest.mark.parametrize(
        ("name", "state", "event_type", "outcome", "lost_minor"),
        [
            ("dispute.created", "EVIDENCE_REQUIRED", EventType.DISPUTE_OPENED, None, 0),
            ("dispute.state.updated", "PROCESSING", EventType.DISPUTE_UPDATED, None, 0),
            ("dispute.state.updated", "LOST", EventType.DISPUTE_CLOSED, DisputeOutcome.LOST, 1999),
            ("dispute.state.updated", "ACCEPTED", EventType.DISPUTE_CLOSED, DisputeOutcome.LOST, 1999),
            ("dispute.state.updated", "WON", EventType.DISPUTE_CLOSED, DisputeOutcome.WON, 0),
            ("dispute.state.updated", "INQUIRY_CLOSED", EventType.DISPUTE_CLOSED, DisputeOutcome.WITHDRAWN, 0),
        ],
    )
    @pytest.mark.parametrize("wrapped_as", ["dispute", "object"])
    def test_a_dispute_is_opened_and_closed(
        self,
        name: str,
        state: str,
        event_type: EventType,
        outcome: DisputeOutcome | None,
        lost_minor: int,
        wrapped_as: str,
    ) -> None:
        dispute = {
            "id": "d1",
            "state": state,
            "reason": "NO_KNOWLEDGE",
            "due_at": "2026-12-01T00:00:00.000Z",
            "amount_money": {"amount": 1999, "currency": "USD"},
            "disputed_payment": {"payment_id": "p1"},
        }
        body = {"type": name, "event_id": "e", "created_at": "2026-11-20T10:00:00Z",
                "data": {"object": {wrapped_as: dispute}}}  # fmt: skip
        raw = json.dumps(body).encode()
        (event,) = verify_and_parse_webhook({SIGNATURE_HEADER: signed(raw)}, raw, ACCOUNT, NOW)
        assert (event.event_type, event.gateway_dispute_id, event.gateway_transaction_id) == (event_type, "d1", "p1")
        assert (event.dispute_outcome, event.dispute_lost_minor) == (outcome, lost_minor)
        assert (event.dispute_reason, event.dispute_due_at) == ("no_knowledge", datetime(2026, 12, 1, tzinfo=UTC))

    def test_other_events_are_kept_and_nothing_is_done_about_them(self) -> None:
        event = parse("order", {"id": "o"}, "order.created")
        assert (event.event_type, event.gateway_event_type) == (None, "order.created")

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"type":1}', b'{"type":"payment.updated"}',
            b'{"type":"payment.updated","event_id":"","created_at":"2026-11-20T10:00:00Z","data":{}}',
        ],
    )  # fmt: skip
    def test_a_signed_body_without_an_id_and_a_type_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidInput):
            verify_and_parse_webhook({SIGNATURE_HEADER: signed(body)}, body, ACCOUNT, NOW)

    @pytest.mark.parametrize(
        ("name", "more", "kind"),
        [
            ("payment.updated", {}, "payment_processing"),
            ("payment.updated", {"created_at": "2026", "data": {"object": {"payment": {}}}}, "payment_processing"),
            ("payment.created", {"created_at": "2026-11-20T10:00:00Z", "data": {"object": {}}}, "payment_processing"),
            ("refund.updated", {"created_at": "2026-11-20T10:00:00Z", "data": {"object": 7}}, "refund_requested"),
            ("dispute.created", {"created_at": "2026-11-20T10:00:00Z", "data": []}, "dispute_updated"),
            ("order.created", {"created_at": None}, None),
        ],
    )
    def test_a_signed_event_that_cannot_be_read_is_kept_whole(
        self, name: str, more: dict[str, Any], kind: str | None
    ) -> None:
        told = {"type": name, "event_id": "e1", **more}
        raw = json.dumps(told).encode()
        (unread,) = verify_and_parse_webhook({SIGNATURE_HEADER: signed(raw)}, raw, ACCOUNT, NOW)
        assert (unread.gateway_event_id, unread.gateway_event_type, unread.event_type) == ("e1", name, kind)
        assert (unread.occurred_at, unread.currency, unread.payload) == (NOW, NO_CURRENCY, told)


@pytest.mark.parametrize("reason", [None, "x", "y" * 500])
def test_a_refunds_reason_keeps_our_id_within_squares_limit(reason: str | None) -> None:
    text = reason_of(reason, UUID(int=7))
    assert len(text) <= 192
    assert text.endswith(f"(refund {UUID(int=7)})")
