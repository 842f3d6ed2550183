"""PayPal's events in our terms, and what its signature covers. Certificates are in test_paypal_certificates.py."""

import json
import zlib
from base64 import b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from holdfast.gateways.paypal_certificates import CertificateSource
from holdfast.gateways.paypal_webhooks import signed_text, verify_and_parse_webhook
from holdfast.gateways.port import CaptureOutcome, GatewayCredentials, GatewayEvent
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.money import Money
from holdfast.values.payment_events import DisputeOutcome, EventType

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
WEBHOOK_ID = "1JE4291016473214C"
CREDENTIALS = GatewayCredentials("secret", client_id="client", webhook_id=WEBHOOK_ID)
CERT_URL = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-a5cafa77"
VECTOR_BODY = b'{"id":"WH-1","event_type":"PAYMENT.CAPTURE.COMPLETED"}'
KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
ORDER_ID, CAPTURE_ID, PAYMENT_ID, REFUND_ID = "5O190127TN364715T", "3C679366HH908993F", uuid4(), uuid4()


class KnownCertificate(CertificateSource):
    """A source that has one verified certificate and fetches nothing."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def key(self, url: str, now: datetime) -> rsa.RSAPublicKey:
        self.asked.append(url)
        return KEY.public_key()


def signed(body: bytes, *, webhook_id: str = WEBHOOK_ID, **changes: str) -> dict[str, str]:
    """Return the headers of a webhook, signed without any of our code."""
    sent_id, sent_at = "69cd13f0-d67a-11e5-baa3-778b53f4ae55", "2026-11-20T12:00:00Z"
    text = f"{sent_id}|{sent_at}|{webhook_id}|{zlib.crc32(body) & 0xFFFFFFFF}".encode()
    headers = {
        "paypal-transmission-id": sent_id,
        "paypal-transmission-time": sent_at,
        "paypal-transmission-sig": b64encode(KEY.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode(),
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": CERT_URL,
    }
    return {**headers, **changes}


def parse(event: Any) -> GatewayEvent:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    (parsed,) = verify_and_parse_webhook(signed(body), body, CREDENTIALS, NOW, KnownCertificate())
    return parsed


def link(relation: str, path: str) -> dict[str, str]:
    return {"href": f"https://api.paypal.com{path}", "rel": relation, "method": "GET"}


def event(event_type: str, resource: dict[str, Any], resource_type: str = "capture") -> dict[str, Any]:
    return {
        "id": "WH-58D329510W468432D-8HN650336L201105X", "event_version": "1.0", "resource_version": "2.0",
        "create_time": "2026-11-20T11:59:58.940Z", "resource_type": resource_type, "event_type": event_type,
        "summary": "", "resource": resource, "links": [],
    }  # fmt: skip


def capture_event(word: str, **fields: Any) -> dict[str, Any]:
    capture = {
        "id": CAPTURE_ID, "status": "COMPLETED", "amount": {"currency_code": "USD", "value": "19.99"},
        "final_capture": True, "custom_id": str(PAYMENT_ID), "create_time": "2026-11-20T11:59:50Z",
        "supplementary_data": {"related_ids": {"order_id": ORDER_ID}},
        "links": [link("up", f"/v2/checkout/orders/{ORDER_ID}")],
    }  # fmt: skip
    return event(f"PAYMENT.CAPTURE.{word}", {**capture, **fields})


def authorization_event(word: str, status: str, **fields: Any) -> dict[str, Any]:
    authorization = {
        "id": "0VF52814937998046", "status": status, "amount": {"currency_code": "USD", "value": "19.99"},
        "custom_id": str(PAYMENT_ID), "expiration_time": "2026-12-19T11:59:50Z", "create_time": "2026-11-20T11:59:50Z",
        "update_time": "2026-11-20T11:59:50Z", "supplementary_data": {"related_ids": {"order_id": ORDER_ID}},
    }  # fmt: skip
    return event(f"PAYMENT.AUTHORIZATION.{word}", {**authorization, **fields}, "authorization")


def refund_event(event_type: str, status: str, **fields: Any) -> dict[str, Any]:
    refund = {
        "id": "1JU08902781691411", "status": status, "amount": {"currency_code": "USD", "value": "5.00"},
        "custom_id": f"{PAYMENT_ID},{REFUND_ID},{ORDER_ID}",
        "links": [link("up", f"/v2/payments/captures/{CAPTURE_ID}")],
    }  # fmt: skip
    return event(event_type, {**refund, **fields}, "refund")


def order_event(event_type: str, **fields: Any) -> dict[str, Any]:
    unit = {"custom_id": str(PAYMENT_ID), "amount": {"currency_code": "USD", "value": "19.99"}}
    order = {"id": ORDER_ID, "status": "APPROVED", "intent": "CAPTURE", "purchase_units": [unit]}
    return event(event_type, {**order, **fields}, "checkout-order")


def dispute_event(word: str, **fields: Any) -> dict[str, Any]:
    transaction = {"seller_transaction_id": CAPTURE_ID, "custom": str(PAYMENT_ID)}
    dispute = {
        "dispute_id": "PP-000-042-663-135", "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED", "status": "OPEN",
        "dispute_amount": {"currency_code": "USD", "value": "3.00"}, "disputed_transactions": [transaction],
    }  # fmt: skip
    return event(f"CUSTOMER.DISPUTE.{word}", dispute | fields, "dispute")


OF_AUTHORIZATION = {"related_ids": {"order_id": ORDER_ID, "authorization_id": "0VF52814937998046"}}


class TestSignature:
    def test_the_crc_of_the_published_body_is_what_is_signed(self) -> None:
        assert signed_text("id", "time", "WH", VECTOR_BODY) == b"id|time|WH|2325436976"

    def test_a_genuine_webhook_is_accepted(self) -> None:
        assert parse(capture_event("COMPLETED")).event_type is EventType.CAPTURE_SUCCEEDED

    @pytest.mark.parametrize("body", [VECTOR_BODY + b"\n", VECTOR_BODY.replace(b":", b": "), VECTOR_BODY[:-1], b""])
    def test_one_changed_byte_is_refused(self, body: bytes) -> None:
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook(signed(VECTOR_BODY), body, CREDENTIALS, NOW, KnownCertificate())

    @pytest.mark.parametrize(
        ("header", "value"),
        [
            ("paypal-transmission-id", "69cd13f0-d67a-11e5-baa3-778b53f4ae56"),
            ("paypal-transmission-time", "2026-11-20T12:00:01Z"),
            ("paypal-transmission-id", "a|b"),
            ("paypal-transmission-sig", b64encode(b"x" * 256).decode()),
            ("paypal-transmission-sig", "not base64!"),
            ("paypal-transmission-sig", "AAAA\n"),
            ("paypal-auth-algo", "SHA1withRSA"),
            ("paypal-auth-algo", "none"),
            ("paypal-transmission-id", ""),
            ("paypal-transmission-time", ""),
            ("paypal-cert-url", ""),
            ("paypal-transmission-sig", "A" * 5000),
            ("paypal-transmission-id", "é\ud800"),
        ],
    )
    def test_a_header_that_was_changed_or_taken_away_is_refused(self, header: str, value: str) -> None:
        headers = signed(VECTOR_BODY, **{header: value})
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook(headers, VECTOR_BODY, CREDENTIALS, NOW, KnownCertificate())
        del headers[header]
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook(headers, VECTOR_BODY, CREDENTIALS, NOW, KnownCertificate())

    def test_a_webhook_of_another_endpoint_is_refused(self) -> None:
        body = json.dumps(capture_event("COMPLETED")).encode()
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook(
                signed(body, webhook_id="9XL90610J3647323C"), body, CREDENTIALS, NOW, KnownCertificate()
            )

    def test_an_account_without_a_webhook_id_accepts_nothing(self) -> None:
        body = json.dumps(capture_event("COMPLETED")).encode()
        for webhook_id in (None, ""):
            credentials = GatewayCredentials("secret", client_id="client", webhook_id=webhook_id)
            with pytest.raises(SignatureInvalid):
                verify_and_parse_webhook(signed(body, webhook_id=""), body, credentials, NOW, KnownCertificate())

    def test_no_certificate_is_fetched_for_a_webhook_that_cannot_be_genuine(self) -> None:
        certificates = KnownCertificate()
        for changes in ({"paypal-auth-algo": "none"}, {"paypal-transmission-sig": "!"}, {"paypal-transmission-id": ""}):
            with pytest.raises(SignatureInvalid):
                verify_and_parse_webhook(signed(b"{}", **changes), b"{}", CREDENTIALS, NOW, certificates)
        assert certificates.asked == []

    def test_nothing_is_parsed_before_the_sender_is_proven(self) -> None:
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook({}, b"not json", CREDENTIALS, NOW, KnownCertificate())

    def test_a_replayed_webhook_is_the_same_event(self) -> None:
        body = json.dumps(capture_event("COMPLETED")).encode()
        headers = signed(body)
        first, second = (
            verify_and_parse_webhook(headers, body, CREDENTIALS, NOW, KnownCertificate()) for _ in range(2)
        )
        assert first == second


class TestTranslation:
    @pytest.mark.parametrize(
        ("paypal_event", "expected"),
        [
            (authorization_event("CREATED", "CREATED"), EventType.AUTHORIZATION_SUCCEEDED),
            (authorization_event("CREATED", "PENDING"), EventType.PAYMENT_PROCESSING),
            (authorization_event("CREATED", "DENIED"), EventType.AUTHORIZATION_FAILED),
            (authorization_event("VOIDED", "VOIDED"), EventType.CANCELLATION_SUCCEEDED),
            (
                authorization_event("VOIDED", "VOIDED", update_time="2026-12-19T12:00:03Z"),
                EventType.AUTHORIZATION_EXPIRED,
            ),
            (capture_event("COMPLETED"), EventType.CAPTURE_SUCCEEDED),
            (capture_event("PENDING", status="PENDING"), EventType.PAYMENT_PROCESSING),
            (capture_event("DECLINED", status="DECLINED"), EventType.AUTHORIZATION_FAILED),
            (capture_event("DENIED", status="DECLINED"), EventType.AUTHORIZATION_FAILED),
            (
                capture_event("DECLINED", status="DECLINED", supplementary_data=OF_AUTHORIZATION),
                EventType.CAPTURE_FAILED,
            ),
            (refund_event("PAYMENT.CAPTURE.REFUNDED", "COMPLETED"), EventType.REFUND_SUCCEEDED),
            (refund_event("PAYMENT.CAPTURE.REFUNDED", "PENDING"), EventType.REFUND_REQUESTED),
            (refund_event("PAYMENT.CAPTURE.REVERSED", "COMPLETED"), EventType.REFUND_SUCCEEDED),
            (refund_event("PAYMENT.CAPTURE.REVERSED", "REVERSED"), EventType.REFUND_SUCCEEDED),
            (refund_event("PAYMENT.REFUND.PENDING", "PENDING"), EventType.REFUND_REQUESTED),
            (refund_event("PAYMENT.REFUND.FAILED", "FAILED"), EventType.REFUND_FAILED),
            (order_event("CHECKOUT.ORDER.APPROVED"), EventType.PAYMENT_PROCESSING),
            (order_event("CHECKOUT.PAYMENT-APPROVAL.REVERSED", order_id=ORDER_ID), EventType.AUTHORIZATION_FAILED),
        ],
        ids=lambda value: value["event_type"] if isinstance(value, dict) else str(value),
    )
    def test_each_event_of_paypals_has_its_one_meaning(self, paypal_event: dict[str, Any], expected: EventType) -> None:
        parsed = parse(paypal_event)
        assert parsed.event_type is expected
        assert parsed.gateway_event_type == paypal_event["event_type"]
        assert parsed.gateway_event_id == paypal_event["id"]
        assert parsed.gateway_transaction_id == ORDER_ID
        assert parsed.payment_id == PAYMENT_ID
        assert parsed.occurred_at == datetime(2026, 11, 20, 11, 59, 58, 940_000, tzinfo=UTC)
        assert parsed.payload == paypal_event

    @pytest.mark.parametrize(
        ("word", "expected"),
        [
            ("CREATED", EventType.DISPUTE_OPENED),
            ("UPDATED", EventType.DISPUTE_UPDATED),
            ("RESOLVED", EventType.DISPUTE_CLOSED),
        ],
    )
    def test_a_dispute_is_found_by_the_payments_own_id(self, word: str, expected: EventType) -> None:
        parsed = parse(dispute_event(word))
        assert (parsed.event_type, parsed.payment_id) == (expected, PAYMENT_ID)
        assert (parsed.gateway_dispute_id, parsed.amount_minor) == ("PP-000-042-663-135", 300)

    @pytest.mark.parametrize(
        ("code", "outcome"),
        [
            ("RESOLVED_BUYER_FAVOUR", DisputeOutcome.LOST),
            ("ACCEPTED", DisputeOutcome.LOST),
            ("RESOLVED_SELLER_FAVOUR", DisputeOutcome.WON),
            ("RESOLVED_WITH_PAYOUT", DisputeOutcome.WON),
            ("DENIED", DisputeOutcome.WON),
            ("CANCELED_BY_BUYER", DisputeOutcome.WITHDRAWN),
            ("NONE", None),
        ],
    )
    def test_a_disputes_outcome_is_told_and_its_money_comes_as_a_reversal(
        self, code: str, outcome: DisputeOutcome | None
    ) -> None:
        parsed = parse(dispute_event("RESOLVED", dispute_outcome={"outcome_code": code}))
        assert (parsed.dispute_outcome, parsed.dispute_lost_minor) == (outcome, 0)

    def test_a_dispute_says_why_and_until_when(self) -> None:
        parsed = parse(dispute_event("CREATED", seller_response_due_date="2026-12-01T00:00:00.000Z"))
        assert parsed.dispute_reason == "MERCHANDISE_OR_SERVICE_NOT_RECEIVED"
        assert parsed.dispute_due_at == datetime(2026, 12, 1, tzinfo=UTC)

    @pytest.mark.parametrize("name", ["CHECKOUT.ORDER.COMPLETED", "PAYMENT.SALE.COMPLETED", "SOMETHING.OF.TOMORROW"])
    def test_an_event_nothing_is_done_about_is_kept_without_a_meaning(self, name: str) -> None:
        parsed = parse(event(name, {"id": "1"}))
        assert (parsed.event_type, parsed.gateway_event_type) == (None, name)

    def test_a_capture_of_a_whole_order_tells_the_payments_amount_and_one_of_an_authorization_does_not(self) -> None:
        whole = parse(capture_event("COMPLETED"))
        assert (whole.amount_minor, whole.authorized_minor, whole.captured_minor) == (1999, 1999, 1999)
        part = parse(
            capture_event(
                "COMPLETED",
                amount={"currency_code": "USD", "value": "12.00"},
                supplementary_data=OF_AUTHORIZATION,
            )
        )
        assert (part.amount_minor, part.authorized_minor, part.captured_minor) == (None, None, None)
        assert [(one.amount, one.status) for one in part.captures] == [(Money(1200, "USD"), CaptureOutcome.SUCCEEDED)]

    def test_a_resource_without_related_ids_is_known_by_its_link_up(self) -> None:
        assert parse(capture_event("COMPLETED", supplementary_data=None)).gateway_transaction_id == ORDER_ID
        up = [link("up", "/v2/payments/authorizations/0VF52814937998046")]
        declined = parse(capture_event("DECLINED", status="DECLINED", supplementary_data={}, links=up))
        assert (declined.event_type, declined.gateway_transaction_id) == (EventType.CAPTURE_FAILED, None)

    def test_a_refund_of_ours_tells_payment_refund_and_order(self) -> None:
        parsed = parse(refund_event("PAYMENT.CAPTURE.REFUNDED", "COMPLETED"))
        assert (parsed.payment_id, parsed.refund_id) == (PAYMENT_ID, REFUND_ID)
        assert (parsed.gateway_transaction_id, parsed.gateway_refund_id) == (ORDER_ID, "1JU08902781691411")
        assert (parsed.amount_minor, parsed.currency) == (500, "USD")

    def test_a_refund_made_at_paypal_is_known_by_the_captures_custom_id(self) -> None:
        parsed = parse(refund_event("PAYMENT.CAPTURE.REFUNDED", "COMPLETED", custom_id=str(PAYMENT_ID)))
        assert (parsed.payment_id, parsed.refund_id, parsed.gateway_transaction_id) == (PAYMENT_ID, None, None)

    @pytest.mark.parametrize(
        "custom_id",
        [None, "", "cart-17", "a,b,c", f"x{PAYMENT_ID}", 5],
        ids=["none", "empty", "a cart", "a list", "more than an id", "a number"],
    )
    def test_a_custom_id_that_is_not_ours_is_ignored(self, custom_id: object) -> None:
        parsed = parse(refund_event("PAYMENT.CAPTURE.REFUNDED", "COMPLETED", custom_id=custom_id))
        assert (parsed.payment_id, parsed.refund_id, parsed.gateway_transaction_id) == (None, None, None)

    def test_a_failure_names_the_processors_reason(self) -> None:
        declined = parse(capture_event("DECLINED", status="DECLINED", processor_response={"response_code": "5120"}))
        assert declined.failure_code == "5120"
        assert declined.failure_message
        held_up = parse(
            capture_event("DENIED", status="DECLINED", status_details={"reason": "DECLINED_BY_RISK_FRAUD_FILTERS"})
        )
        assert held_up.failure_code == "DECLINED_BY_RISK_FRAUD_FILTERS"

    def test_a_hold_says_how_long_it_lasts(self) -> None:
        parsed = parse(authorization_event("CREATED", "CREATED"))
        assert parsed.authorization_expires_at == datetime(2026, 12, 19, 11, 59, 50, tzinfo=UTC)
        assert (parsed.authorized_minor, parsed.captured_minor) == (1999, 0)

    @pytest.mark.parametrize(
        "body",
        [
            b"{}",
            b"[]",
            b"null",
            b"not json",
            b"\xff\xfe",
            b"[" * 100_000,
            json.dumps({**capture_event("COMPLETED"), "id": 5}).encode(),
            json.dumps({**capture_event("COMPLETED"), "event_type": None}).encode(),
        ],
        ids=range(8),
    )
    def test_a_signed_body_without_an_id_and_a_type_is_refused_as_input(self, body: bytes) -> None:
        with pytest.raises(InvalidInput):
            parse(body)

    @pytest.mark.parametrize(
        ("event", "kind"),
        [
            (capture_event("COMPLETED", amount={"currency_code": "USD", "value": "x"}), "capture_succeeded"),
            (capture_event("COMPLETED", amount={"currency_code": "dollars", "value": "1.00"}), "capture_succeeded"),
            (capture_event("COMPLETED", amount=None), "capture_succeeded"),
            (authorization_event("CREATED", "STRANGE"), "authorization_succeeded"),
            (order_event("CHECKOUT.ORDER.APPROVED", purchase_units=[]), "payment_processing"),
            ({**capture_event("COMPLETED"), "create_time": "yesterday"}, "capture_succeeded"),
            ({**capture_event("COMPLETED"), "create_time": "2026-11-20T12:00:00"}, "capture_succeeded"),
            ({**capture_event("COMPLETED"), "resource": []}, "capture_succeeded"),
            ({"id": "WH-1", "event_type": "PAYMENT.CAPTURE.REVERSED"}, "refund_succeeded"),
            ({"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {}}, "dispute_opened"),
            ({"id": "WH-1", "event_type": "CATALOG.PRODUCT.CREATED"}, None),
        ],
        ids=range(11),
    )
    def test_a_signed_event_that_cannot_be_read_is_kept_whole(self, event: dict[str, Any], kind: str | None) -> None:
        unread = parse(json.dumps(event).encode())
        assert (unread.gateway_event_id, unread.gateway_event_type) == (event["id"], event["event_type"])
        assert (unread.event_type, unread.occurred_at, unread.currency) == (kind, NOW, NO_CURRENCY)
        assert (unread.amount_minor, unread.captured_minor, unread.payload) == (None, None, event)

    def test_a_signed_event_that_cannot_be_read_is_known_for_its_payments(self) -> None:
        assert parse(capture_event("COMPLETED", amount=None)).payment_id == PAYMENT_ID
