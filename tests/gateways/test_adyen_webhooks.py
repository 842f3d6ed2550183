"""Adyen's webhooks: whether Adyen sent them, item by item, and what they say."""

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import digest
from typing import Any
from uuid import UUID

import pytest
from Adyen.util import is_valid_hmac_notification

from holdfast.gateways.adyen_objects import payment_reference, refund_reference
from holdfast.gateways.adyen_webhooks import (
    _READERS,
    signed_text,
    verify_and_parse_webhook,
    verify_signature,
)
from holdfast.gateways.port import CaptureOutcome, GatewayCredentials, GatewayEvent
from holdfast.gateways.unread import NO_CURRENCY
from holdfast.values.errors import InvalidInput, SignatureInvalid
from holdfast.values.money import Money
from holdfast.values.payment_events import DisputeOutcome, EventType
from tests.gateways.adyen_stage import MERCHANT_ACCOUNT, AdyenStage

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
PUBLISHED = {
    "pspReference": "7914073381342284",
    "originalReference": "",
    "merchantAccountCode": "TestMerchant",
    "merchantReference": "TestPayment-1407325143704",
    "amount": {"value": 1130, "currency": "EUR"},
    "eventCode": "AUTHORISATION",
    "success": "true",
}
PUBLISHED_TEXT = "7914073381342284::TestMerchant:TestPayment-1407325143704:1130:EUR:AUTHORISATION:true"
PUBLISHED_SIGNATURE = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
ACCOUNT = GatewayCredentials("AQE", (KEY,), merchant_account="TestMerchant")
NOW = datetime(2026, 11, 20, tzinfo=UTC)
PAYMENT_ID, REFUND_ID = UUID(int=1), UUID(int=2)
WITHDRAWN = DisputeOutcome.WITHDRAWN
Item = dict[str, Any]


def item(code: str, *, success: bool = True, **changes: Any) -> Item:
    made = {
        "amount": {"currency": "USD", "value": 1999},
        "eventCode": code,
        "eventDate": "2026-11-20T11:00:00+01:00",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": payment_reference(PAYMENT_ID, capture_now=False),
        "paymentMethod": "visa",
        "pspReference": "NC6HT9CRT65ZGN82",
        "reason": "",
        "success": "true" if success else "false",
    }
    if code != "AUTHORISATION":
        made |= {"originalReference": "QFQTPCQ8HXSKGK82"}
    return made | changes


def sign(one: Item, key: str = KEY) -> Item:
    signature = b64encode(digest(bytes.fromhex(key), signed_text(one).encode(), sha256)).decode()
    return {**one, "additionalData": {**one.get("additionalData", {}), "hmacSignature": signature}}


def body_of(*items: Item) -> bytes:
    wrapped = [{"NotificationRequestItem": one} for one in items]
    return json.dumps({"live": "false", "notificationItems": wrapped}).encode()


def parse(*items: Item) -> tuple[GatewayEvent, ...]:
    return verify_and_parse_webhook({}, body_of(*map(sign, items)), ACCOUNT, NOW)


class TestSignature:
    def test_the_published_vector_verifies(self) -> None:
        assert signed_text(PUBLISHED) == PUBLISHED_TEXT
        verify_signature(PUBLISHED_SIGNATURE, PUBLISHED_TEXT, (KEY,))

    def test_adyens_own_sdk_agrees(self, adyen_stage: AdyenStage) -> None:
        signed = {**PUBLISHED, "additionalData": {"hmacSignature": PUBLISHED_SIGNATURE}}
        assert is_valid_hmac_notification(signed, KEY)
        assert is_valid_hmac_notification(sign(item("CAPTURE")), KEY)
        payment = adyen_stage.gateway.authorize(adyen_stage.request(capture_now=False), deadline_seconds=5)
        adyen_stage.gateway.cancel(payment.gateway_transaction_id, idempotency_key="c", deadline_seconds=5)
        adyen_stage.events_until("authorization_succeeded", "cancellation_succeeded")
        for delivery in adyen_stage.receiver.received:
            assert is_valid_hmac_notification(json.loads(delivery.body), adyen_stage.secret)

    def test_what_is_missing_is_empty_and_nothing_is_escaped(self) -> None:
        odd = {"merchantReference": "a:b\\c", "amount": None, "success": "true", "originalReference": None}
        assert signed_text(odd) == ":::a:b\\c::::true"

    @pytest.mark.parametrize(
        ("signature", "keys"),
        [
            (PUBLISHED_SIGNATURE, ("00" * 32,)),
            (PUBLISHED_SIGNATURE, ()),
            (PUBLISHED_SIGNATURE, ("", "not hex")),
            (PUBLISHED_SIGNATURE[:-2] + "1=", (KEY,)),
            ("", (KEY,)),
            (None, (KEY,)),
            (7, (KEY,)),
            ("ü", (KEY,)),
        ],
    )
    def test_anything_else_is_refused(self, signature: Any, keys: tuple[str, ...]) -> None:
        with pytest.raises(SignatureInvalid):
            verify_signature(signature, PUBLISHED_TEXT, keys)

    def test_a_rotation_has_two_keys_and_a_broken_one_does_no_harm(self) -> None:
        verify_signature(PUBLISHED_SIGNATURE, PUBLISHED_TEXT, ("broken", "00" * 32, KEY))

    def test_nobody_signs_with_an_empty_key(self) -> None:
        forged = b64encode(digest(b"", PUBLISHED_TEXT.encode(), sha256)).decode()
        with pytest.raises(SignatureInvalid):
            verify_signature(forged, PUBLISHED_TEXT, ("",))

    @pytest.mark.parametrize("spoiled", ["unsigned", "tampered", "foreign"])
    def test_one_item_that_is_not_proven_discredits_all(self, spoiled: str) -> None:
        good, bad = sign(item("AUTHORISATION")), sign(item("CAPTURE"))
        if spoiled == "unsigned":
            del bad["additionalData"]
        elif spoiled == "tampered":
            bad["amount"] = {"currency": "USD", "value": 1}
        else:
            bad = sign(item("CAPTURE", merchantAccountCode="SomebodyElse"))
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook({}, body_of(good, bad), ACCOUNT, NOW)

    @pytest.mark.parametrize(
        ("header", "is_taken"),
        [
            (b64encode(b"adyen:s3cret").decode(), True),
            (b64encode(b"adyen:wrong").decode(), False),
            ("%%%", False),
            (None, False),
        ],
    )
    def test_a_user_of_the_webhook_has_to_sign_on(self, header: str | None, is_taken: bool) -> None:
        account = GatewayCredentials(
            "AQE", (KEY,), merchant_account="TestMerchant", webhook_user="adyen", webhook_password="s3cret"
        )
        headers = {} if header is None else {"authorization": f"Basic {header}"}
        body = body_of(sign(item("AUTHORISATION")))
        if is_taken:
            assert verify_and_parse_webhook(headers, body, account, NOW)
            return
        with pytest.raises(SignatureInvalid):
            verify_and_parse_webhook(headers, body, account, NOW)


class TestReading:
    def test_every_item_is_an_event_of_its_own(self) -> None:
        first, second = parse(item("AUTHORISATION"), item("CAPTURE", pspReference="CAPTURE000000001"))
        assert first.gateway_event_id == "AUTHORISATION:NC6HT9CRT65ZGN82:true"
        assert second.gateway_event_id == "CAPTURE:CAPTURE000000001:true"
        assert first.occurred_at == NOW + timedelta(hours=10)

    @pytest.mark.parametrize(
        ("code", "success", "event_type"),
        [
            ("AUTHORISATION", True, EventType.AUTHORIZATION_SUCCEEDED),
            ("AUTHORISATION", False, EventType.AUTHORIZATION_FAILED),
            ("CAPTURE", True, EventType.CAPTURE_SUCCEEDED),
            ("CAPTURE", False, EventType.CAPTURE_FAILED),
            ("CAPTURE_FAILED", True, EventType.CAPTURE_FAILED),
            ("CANCELLATION", True, EventType.CANCELLATION_SUCCEEDED),
            ("CANCELLATION", False, EventType.CANCELLATION_FAILED),
            ("TECHNICAL_CANCEL", True, EventType.CANCELLATION_SUCCEEDED),
            ("EXPIRE", True, EventType.AUTHORIZATION_EXPIRED),
            ("REFUND", True, EventType.REFUND_SUCCEEDED),
            ("REFUND", False, EventType.REFUND_FAILED),
            ("REFUND_FAILED", True, EventType.REFUND_FAILED),
            ("REFUNDED_REVERSED", True, EventType.REFUND_FAILED),
            ("CANCEL_OR_REFUND", True, None),
            ("REQUEST_FOR_INFORMATION", True, EventType.DISPUTE_OPENED),
            ("NOTIFICATION_OF_CHARGEBACK", True, EventType.DISPUTE_OPENED),
            ("CHARGEBACK", True, EventType.DISPUTE_OPENED),
            ("CHARGEBACK_REVERSED", True, EventType.DISPUTE_UPDATED),
            ("SECOND_CHARGEBACK", True, EventType.DISPUTE_CLOSED),
            ("DISPUTE_DEFENSE_PERIOD_ENDED", True, EventType.DISPUTE_CLOSED),
            ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", True, EventType.DISPUTE_CLOSED),
            ("PREARBITRATION_WON", True, EventType.DISPUTE_CLOSED),
            ("PREARBITRATION_LOST", True, EventType.DISPUTE_CLOSED),
            ("SCHEME_ARBITRATION_WON", True, EventType.DISPUTE_CLOSED),
            ("SCHEME_ARBITRATION_LOST", True, EventType.DISPUTE_CLOSED),
            ("REPORT_AVAILABLE", True, None),
        ],
    )
    def test_code_and_success_decide(self, code: str, success: bool, event_type: EventType | None) -> None:
        (event,) = parse(item(code, success=success))
        assert (event.event_type, event.gateway_event_type) == (event_type, code)
        if event_type is not None:
            expected = "NC6HT9CRT65ZGN82" if code == "AUTHORISATION" else "QFQTPCQ8HXSKGK82"
            assert (event.gateway_transaction_id, event.payment_id) == (expected, PAYMENT_ID)

    def test_an_authorisation_that_is_captured_at_once_is_a_capture(self) -> None:
        (event,) = parse(item("AUTHORISATION", merchantReference=payment_reference(PAYMENT_ID, capture_now=True)))
        assert (event.event_type, event.captured_minor) == (EventType.CAPTURE_SUCCEEDED, 1999)
        assert (event.authorized_minor, event.authorization_expires_at) == (1999, None)

    def test_an_authorisation_that_is_held_says_for_how_long_at_least(self) -> None:
        (event,) = parse(item("AUTHORISATION"))
        assert event.authorization_expires_at == NOW + timedelta(days=7, hours=10)

    def test_a_refusal_has_a_code_and_a_sentence(self) -> None:
        (event,) = parse(item("AUTHORISATION", success=False, reason="Not enough balance"))
        assert (event.failure_code, event.failure_message) == ("not_enough_balance", "Not enough balance")

    def test_a_capture_does_not_claim_to_know_the_payments_amount(self) -> None:
        (event,) = parse(item("CAPTURE", amount={"currency": "USD", "value": 1200}))
        assert (event.amount_minor, event.captured_minor, event.currency) == (None, None, "USD")
        (capture,) = event.captures
        assert (capture.gateway_capture_id, capture.amount) == (item("CAPTURE")["pspReference"], Money(1200, "USD"))
        assert (capture.status, capture.decided_at) == (CaptureOutcome.SUCCEEDED, event.occurred_at)

    def test_a_capture_that_adyen_made_again_is_another_event_of_the_same_capture(self) -> None:
        first, again = parse(item("CAPTURE"), item("CAPTURE", reason="Transaction Auto-recaptured"))
        assert first.gateway_event_id != again.gateway_event_id
        assert first.captures == again.captures

    def test_a_capture_that_fell_through_is_told_by_its_own_reference_and_an_automatic_one_by_its_payment(self) -> None:
        (event,) = parse(
            item("CAPTURE_FAILED", pspReference="CAPTURE000000001", merchantReference=f"{PAYMENT_ID}-hold")
        )
        assert [(one.gateway_capture_id, one.status) for one in event.captures] == [("CAPTURE000000001", "failed")]
        (event,) = parse(item("CAPTURE_FAILED", merchantReference=f"{PAYMENT_ID}-now"))
        assert (event.event_type, event.captures) == (EventType.CAPTURE_FAILED, ())

    def test_a_payment_that_was_cancelled_before_adyen_knew_it_is_found_by_our_reference(self) -> None:
        (event,) = parse({**item("TECHNICAL_CANCEL"), "originalReference": ""})
        assert (event.gateway_transaction_id, event.payment_id) == (None, PAYMENT_ID)

    @pytest.mark.parametrize("is_its_own", [True, False])
    def test_a_refund_is_found_whichever_reference_it_carries(self, is_its_own: bool) -> None:
        reference = refund_reference(REFUND_ID) if is_its_own else payment_reference(PAYMENT_ID, capture_now=True)
        (event,) = parse(item("REFUND", merchantReference=reference, amount={"currency": "USD", "value": 500}))
        assert event.refund_id == (REFUND_ID if is_its_own else None)
        assert event.payment_id == (None if is_its_own else PAYMENT_ID)
        assert (event.gateway_refund_id, event.amount_minor) == ("NC6HT9CRT65ZGN82", 500)
        assert event.gateway_transaction_id == "QFQTPCQ8HXSKGK82"

    @pytest.mark.parametrize(
        ("action", "event_type"),
        [("cancel", EventType.CANCELLATION_SUCCEEDED), ("refund", EventType.REFUND_SUCCEEDED)],
    )
    def test_a_reversal_is_what_adyen_made_of_it(self, action: str, event_type: EventType) -> None:
        (event,) = parse(item("CANCEL_OR_REFUND", additionalData={"modification.action": action}))
        assert event.event_type is event_type

    @pytest.mark.parametrize("status", ["Won", "Lost", "Accepted", "Expired"])
    def test_a_dispute_that_is_over_is_closed(self, status: str) -> None:
        told = {"disputeStatus": status, "chargebackReasonCode": "10.4"}
        (event,) = parse(item("CHARGEBACK", additionalData=told))
        assert (event.event_type, event.dispute_reason) == (EventType.DISPUTE_CLOSED, "10.4")
        lost = status != "Won"
        assert event.dispute_outcome == (DisputeOutcome.LOST if lost else DisputeOutcome.WON)
        assert event.dispute_lost_minor == (event.amount_minor if lost else 0)

    def test_what_took_no_money_is_not_lost(self) -> None:
        told = {"disputeStatus": "Expired", "defensePeriodEndsAt": "2026-12-01T12:00:00+01:00"}
        (event,) = parse(item("REQUEST_FOR_INFORMATION", additionalData=told))
        assert (event.dispute_outcome, event.dispute_lost_minor) == (DisputeOutcome.WITHDRAWN, 0)
        assert event.dispute_due_at == datetime(2026, 12, 1, 11, tzinfo=UTC)

    @pytest.mark.parametrize(
        ("code", "more", "outcome"),
        [
            ("SECOND_CHARGEBACK", {}, DisputeOutcome.LOST),
            ("PREARBITRATION_LOST", {"disputeStatus": "Lost"}, DisputeOutcome.LOST),
            ("SCHEME_ARBITRATION_LOST", {}, DisputeOutcome.LOST),
            ("PREARBITRATION_WON", {"disputeStatus": "Won"}, DisputeOutcome.WON),
            ("SCHEME_ARBITRATION_WON", {}, DisputeOutcome.WON),
            ("ISSUER_RESPONSE_TIMEFRAME_EXPIRED", {}, DisputeOutcome.WON),
            # The shop accepted it or did not defend it; as in Brazil, there may be no status.
            ("DISPUTE_DEFENSE_PERIOD_ENDED", {}, DisputeOutcome.LOST),
            ("DISPUTE_DEFENSE_PERIOD_ENDED", {"disputeStatus": "Undefended"}, DisputeOutcome.LOST),
            ("DISPUTE_DEFENSE_PERIOD_ENDED", {"disputeStatus": "Accepted"}, DisputeOutcome.LOST),
            ("DISPUTE_DEFENSE_PERIOD_ENDED", {"disputeStatus": "Expired", "rfiReasonCode": "30"}, WITHDRAWN),
            (
                "DISPUTE_DEFENSE_PERIOD_ENDED",
                {"disputeStatus": "Expired", "rfiReasonCode": "30", "chargebackReasonCode": "10.4"},
                DisputeOutcome.LOST,
            ),
            # A chargeback that cannot be defended, or no longer can, is followed by no other closing event.
            ("CHARGEBACK", {"disputeStatus": "Undefended", "defendable": "false"}, DisputeOutcome.LOST),
            ("CHARGEBACK", {"defensePeriodEndsAt": "2026-11-20T11:00:00+01:00"}, DisputeOutcome.LOST),
        ],
    )
    def test_a_dispute_that_ended_says_how(self, code: str, more: Item, outcome: DisputeOutcome) -> None:
        (event,) = parse(item(code, additionalData=more))
        assert (event.event_type, event.dispute_outcome) == (EventType.DISPUTE_CLOSED, outcome)
        assert event.dispute_lost_minor == (event.amount_minor if outcome is DisputeOutcome.LOST else 0)

    @pytest.mark.parametrize(
        ("code", "more", "event_type"),
        [
            ("CHARGEBACK", {"disputeStatus": "Undefended"}, EventType.DISPUTE_OPENED),
            ("CHARGEBACK", {"disputeStatus": "Pending", "defendable": "false"}, EventType.DISPUTE_OPENED),
            ("CHARGEBACK", {"defensePeriodEndsAt": "2026-11-20T11:00:01+01:00"}, EventType.DISPUTE_OPENED),
            ("CHARGEBACK_REVERSED", {"disputeStatus": "Pending"}, EventType.DISPUTE_UPDATED),
            ("DISPUTE_DEFENSE_PERIOD_ENDED", {"disputeStatus": "Pending"}, EventType.DISPUTE_UPDATED),
        ],
    )
    def test_a_dispute_that_goes_on_has_lost_nothing(self, code: str, more: Item, event_type: EventType) -> None:
        (event,) = parse(item(code, additionalData=more))
        assert (event.event_type, event.dispute_outcome, event.dispute_lost_minor) == (event_type, None, 0)

    def test_a_dispute_that_moved_on_is_news_under_the_same_code(self) -> None:
        told = ({"disputeStatus": status} for status in ("Undefended", "Accepted", "Accepted"))
        undefended, accepted, again = parse(*(item("CHARGEBACK", additionalData=more) for more in told))
        assert undefended.gateway_event_id != accepted.gateway_event_id == again.gateway_event_id

    def test_an_item_that_names_no_original_is_found_by_our_reference_and_else_by_its_own(self) -> None:
        (ours,) = parse({**item("SECOND_CHARGEBACK"), "originalReference": ""})
        assert (ours.gateway_transaction_id, ours.payment_id) == (None, PAYMENT_ID)
        (other,) = parse({**item("SECOND_CHARGEBACK", merchantReference="made by hand"), "originalReference": ""})
        assert (other.gateway_transaction_id, other.payment_id) == ("NC6HT9CRT65ZGN82", None)

    @pytest.mark.parametrize(
        ("value", "currency", "minor"),
        [
            (1999, "CLP", None),
            (1900, "CLP", 19),
            (19, "CVE", 1900),
            (1900, "ISK", 19),
            (19, "JPY", 19),
            (1999, "KWD", 1999),
        ],
    )
    def test_amounts_are_adyens(self, value: int, currency: str, minor: int | None) -> None:
        one = item("AUTHORISATION", amount={"value": value, "currency": currency})
        (event,) = parse(one)
        assert (event.amount_minor, event.currency) == (minor, currency if minor else NO_CURRENCY)

    @pytest.mark.parametrize(
        "body",
        [
            b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 100_000, b'{"notificationItems":[]}',
            b'{"notificationItems":[{}]}', b'{"notificationItems":[{"NotificationRequestItem":null}]}',
            b'{"notificationItems":[{"NotificationRequestItem":{"additionalData":7}}]}',
        ],
    )  # fmt: skip
    def test_a_body_that_is_no_notification_is_refused(self, body: bytes) -> None:
        with pytest.raises(InvalidInput):
            verify_and_parse_webhook({}, body, ACCOUNT, NOW)

    @pytest.mark.parametrize(
        "spoiled",
        [
            {"success": "maybe"}, {"success": True}, {"pspReference": ""}, {"eventCode": None},
        ],
    )  # fmt: skip
    def test_a_signed_item_that_is_no_event_is_refused(self, spoiled: Item) -> None:
        with pytest.raises(InvalidInput):
            parse({**item("AUTHORISATION"), **spoiled})

    @pytest.mark.parametrize("code", sorted(_READERS))
    @pytest.mark.parametrize(
        "spoiled",
        [
            {"eventDate": "yesterday"}, {"eventDate": "2026-11-20T11:00:00"}, {"eventDate": None},
            {"eventDate": "yesterday", "amount": None},
            {"eventDate": 7, "amount": {"currency": "USD", "value": "1999"}},
        ],
    )  # fmt: skip
    def test_a_signed_item_that_cannot_be_read_is_taken_and_keeps_the_others_not_back(
        self, spoiled: Item, code: str
    ) -> None:
        unread, read = parse({**item(code), **spoiled}, item("AUTHORISATION"))
        assert (unread.currency, unread.amount_minor, unread.occurred_at) == (NO_CURRENCY, None, NOW)
        assert unread.event_type is not None
        assert (unread.gateway_event_type, read.event_type) == (code, EventType.AUTHORIZATION_SUCCEEDED)


def test_one_notification_that_is_not_taken_holds_up_those_behind_it(adyen_stage: AdyenStage) -> None:
    adyen_stage.receiver.answers = [500, 503]
    for _ in range(3):
        adyen_stage.gateway.authorize(adyen_stage.request(), deadline_seconds=5)
    received = adyen_stage.receiver.wait_until(lambda deliveries: len(deliveries) == 5)
    told = [json.loads(one.body)["notificationItems"][0]["NotificationRequestItem"]["pspReference"] for one in received]
    assert told[0] == told[1] == told[2]
    assert len(set(told)) == 3
    assert (
        json.loads(received[0].body)["notificationItems"][0]["NotificationRequestItem"]["merchantAccountCode"]
        == MERCHANT_ACCOUNT
    )


def test_an_answer_without_the_word_is_no_answer(adyen_stage: AdyenStage) -> None:
    adyen_stage.receiver.answer = b'{"received": true}'
    adyen_stage.gateway.authorize(adyen_stage.request(), deadline_seconds=5)
    adyen_stage.receiver.wait_until(lambda deliveries: len(deliveries) == 2)
    adyen_stage.receiver.answer = b"[accepted]"
