"""What is specific to Adyen: result codes, references, idempotency keys that ignore the request, two addresses."""

import json
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
import urllib3

from holdfast.gateways.adyen import LIVE_BASE_URL, AdyenGateway
from holdfast.gateways.adyen_objects import adyen_amount, money_of, read_payment_reference
from holdfast.gateways.port import (
    GatewayCredentials,
    GatewayRefused,
    GatewayUnreachable,
    Outcome,
    OutcomeUnknown,
    PaymentSnapshot,
    RefundOutcome,
)
from holdfast.values.errors import NotRepresentable
from holdfast.values.money import Money
from tests.gateways.adyen_stage import MERCHANT_ACCOUNT, AdyenStage, card


class Answering(urllib3.PoolManager):
    """Gives a fixed answer, and records what it was asked."""

    def __init__(self, status: int, said: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__()
        self.answer = (status, json.dumps(said).encode(), headers or {})
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []

    def request(self, method: str, url: str, **given: Any) -> urllib3.BaseHTTPResponse:  # type: ignore[override]
        self.asked.append((url, given["headers"], json.loads(given["body"])))
        status, body, headers = self.answer
        return urllib3.HTTPResponse(body, headers=headers, status=status)


def gateway_at(pool: urllib3.PoolManager, **more: Any) -> AdyenGateway:
    account = GatewayCredentials("AQE", merchant_account=MERCHANT_ACCOUNT, **more)
    return AdyenGateway(account, pool=pool, base_url="https://adyen.test")


def authorized(stage: AdyenStage, said: dict[str, Any], *, capture_now: bool = True) -> PaymentSnapshot:
    request = stage.request(capture_now=capture_now)
    return gateway_at(Answering(200, said)).authorize(request, deadline_seconds=5)


class TestAmounts:
    @pytest.mark.parametrize(
        ("minor", "currency", "units"),
        [
            (1999, "USD", 1999), (1999, "JPY", 1999), (1999, "KWD", 1999), (1999, "MGA", 1999),
            (19, "CLP", 1900), (19, "ISK", 1900), (1900, "CVE", 19), (1900, "IDR", 19),
        ],
    )  # fmt: skip
    def test_amounts_have_adyens_own_decimals(self, minor: int, currency: str, units: int) -> None:
        written = adyen_amount(Money(minor, currency))
        assert written == {"value": units, "currency": currency}
        assert money_of(written) == Money(minor, currency)

    @pytest.mark.parametrize(("minor", "currency"), [(1999, "CVE"), (1999, "IDR"), (0, "USD"), (-1, "USD"), (1, "CLF")])
    def test_what_would_need_rounding_is_not_representable(self, minor: int, currency: str) -> None:
        with pytest.raises(NotRepresentable):
            adyen_amount(Money(minor, currency))


class TestResults:
    @pytest.mark.parametrize(
        ("result", "outcome"),
        [
            ("Authorised", Outcome.SUCCEEDED),
            ("Refused", Outcome.DECLINED),
            ("Error", Outcome.DECLINED),
            ("Cancelled", Outcome.CANCELLED),
            ("RedirectShopper", Outcome.REQUIRES_ACTION),
            ("IdentifyShopper", Outcome.REQUIRES_ACTION),
            ("ChallengeShopper", Outcome.REQUIRES_ACTION),
            ("PresentToShopper", Outcome.REQUIRES_ACTION),
            ("Pending", Outcome.PROCESSING),
            ("Received", Outcome.PROCESSING),
        ],
    )
    def test_a_result_decides_the_outcome(self, adyen_stage: AdyenStage, result: str, outcome: Outcome) -> None:
        answer = authorized(adyen_stage, {"resultCode": result, "pspReference": "X"})
        assert (answer.outcome, answer.gateway_transaction_id, answer.is_provisional) == (outcome, "X", False)

    @pytest.mark.parametrize("said", [{"resultCode": "Dancing"}, {"resultCode": "Authorised"}, {"a": 1}, [], "no"])
    def test_what_is_no_result_leaves_the_outcome_unknown(self, adyen_stage: AdyenStage, said: Any) -> None:
        with pytest.raises(OutcomeUnknown):
            authorized(adyen_stage, said)

    def test_a_payment_adyen_has_not_named_yet_has_an_id_of_our_own(self, adyen_stage: AdyenStage) -> None:
        request = adyen_stage.request(token=adyen_stage.token_action)
        answer = adyen_stage.gateway.authorize(request, deadline_seconds=5)
        assert answer.is_provisional
        reference = answer.gateway_transaction_id.removeprefix("reference:")
        assert read_payment_reference(reference) == (request.payment_id, True)
        assert answer.client_action is not None
        assert answer.client_action["redirect_url"].startswith(adyen_stage.base_url)

    def test_the_shoppers_bank_may_say_no(self, adyen_stage: AdyenStage) -> None:
        request = adyen_stage.request(token=adyen_stage.token_action)
        adyen_stage.gateway.authorize(request, deadline_seconds=5)
        adyen_stage.complete_action("", succeed=False)
        found = next(e for e in adyen_stage.events_until("authorization_failed") if e.payment_id == request.payment_id)
        assert found.failure_code == "3d_not_authenticated"

    def test_details_nobody_handed_out_are_refused(self, adyen_stage: AdyenStage) -> None:
        with pytest.raises(GatewayRefused):
            adyen_stage.gateway.complete_action(adyen_stage.request(), {"redirectResult": "x"}, deadline_seconds=5)

    def test_a_payment_that_takes_its_time_is_told_by_webhook(self, adyen_stage: AdyenStage) -> None:
        request = adyen_stage.request(token=json.dumps({"type": "sepadirectdebit", "iban": "NL13TEST0123456789"}))
        answer = adyen_stage.gateway.authorize(request, deadline_seconds=5)
        assert (answer.outcome, answer.method) == (Outcome.PROCESSING, "sepadirectdebit")
        adyen_stage.control("POST", f"/payments/{answer.gateway_transaction_id}/settle")
        adyen_stage.events_until("capture_succeeded")

    def test_a_capture_can_fall_through_later(self, adyen_stage: AdyenStage) -> None:
        payment = adyen_stage.gateway.authorize(adyen_stage.request(), deadline_seconds=5).gateway_transaction_id
        adyen_stage.control("POST", f"/payments/{payment}/fail_capture")
        failed = adyen_stage.events_until("capture_succeeded", "capture_failed")[-1]
        assert (failed.gateway_transaction_id, failed.failure_code) == (payment, "rejected")


class TestWhatCannotBeAsked:
    def test_a_look_says_known_and_undecided_without_asking(self, adyen_stage: AdyenStage) -> None:
        pool = Answering(500, {})
        looked = gateway_at(pool).fetch("X", deadline_seconds=5)
        assert (looked.outcome, looked.amount, looked.captured_minor) == (Outcome.PROCESSING, None, 0)
        refund = gateway_at(pool).fetch_refund("R", deadline_seconds=5)
        assert (refund.status, refund.amount) == (RefundOutcome.PENDING, None)
        assert pool.asked == []

    def test_a_cancellation_never_sends_captured_money_back(self, adyen_stage: AdyenStage) -> None:
        pool = Answering(201, {"status": "received"})
        gateway_at(pool).cancel("X", idempotency_key="k", deadline_seconds=5)
        gateway_at(pool).cancel("reference:abc-now", idempotency_key="k", deadline_seconds=5)
        assert [url for url, _, _ in pool.asked] == [
            "https://adyen.test/v72/payments/X/cancels",
            "https://adyen.test/v72/cancels",
        ]
        assert pool.asked[1][2]["paymentReference"] == "abc-now"


class TestKeys:
    def test_a_key_of_another_payment_is_noticed(self, adyen_stage: AdyenStage) -> None:
        """Adyen repeats its first answer under a key, whatever the request says."""
        first = adyen_stage.request()
        adyen_stage.gateway.authorize(first, deadline_seconds=5)
        other = adyen_stage.request(idempotency_key=first.idempotency_key)
        with pytest.raises(GatewayRefused) as refused:
            adyen_stage.gateway.authorize(other, deadline_seconds=5)
        assert (refused.value.failure_code, refused.value.is_about_attempt) == ("idempotency_key_reused", False)

    def test_a_key_of_another_refund_is_noticed(self, adyen_stage: AdyenStage) -> None:
        payment = adyen_stage.gateway.authorize(adyen_stage.request(), deadline_seconds=5).gateway_transaction_id

        def refund() -> RefundOutcome:
            return adyen_stage.gateway.refund(
                payment, Money(1, "USD"), idempotency_key="k", refund_id=uuid4(), deadline_seconds=5
            ).status

        assert refund() is RefundOutcome.PENDING
        with pytest.raises(GatewayRefused):
            refund()

    def test_a_key_that_adyen_would_not_take_is_replaced(self, adyen_stage: AdyenStage) -> None:
        pool = Answering(200, {"resultCode": "Pending"})
        gateway_at(pool).authorize(adyen_stage.request(idempotency_key="k" * 65), deadline_seconds=5)
        gateway_at(pool).authorize(adyen_stage.request(idempotency_key="k" * 64), deadline_seconds=5)
        sent = [headers["Idempotency-Key"] for _, headers, _ in pool.asked]
        assert [len(key) for key in sent] == [64, 64]
        assert sent[0] != sent[1] == "k" * 64


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "said", "headers", "error"),
        [
            (422, {"errorCode": "704", "message": "in progress"}, {}, OutcomeUnknown),
            (422, {"errorCode": "010"}, {"Transient-Error": "true"}, OutcomeUnknown),
            (500, {"errorCode": "905"}, {}, OutcomeUnknown),
            (503, "", {}, OutcomeUnknown),
            (302, "", {}, OutcomeUnknown),
            (200, "", {}, OutcomeUnknown),
            (429, {}, {}, GatewayUnreachable),
            (422, {"errorCode": "167"}, {}, GatewayRefused),
            (401, {"errorCode": "000"}, {}, GatewayRefused),
        ],
    )
    def test_an_error_leaves_open_only_what_may_have_happened(
        self, adyen_stage: AdyenStage, status: int, said: Any, headers: dict[str, str], error: type[Exception]
    ) -> None:
        with pytest.raises(error) as raised:
            gateway_at(Answering(status, said, headers)).authorize(adyen_stage.request(), deadline_seconds=5)
        if isinstance(raised.value, GatewayRefused):
            assert raised.value.is_about_attempt == (status != 401)

    def test_a_wrong_key_and_an_unknown_payment_are_refused(
        self, adyen_stage: AdyenStage, pool: urllib3.PoolManager
    ) -> None:
        account = replace(adyen_stage.credentials, api_key="wrong")
        gateway = AdyenGateway(account, pool=pool, base_url=adyen_stage.base_url)
        with pytest.raises(GatewayRefused):
            gateway.authorize(adyen_stage.request(), deadline_seconds=5)
        with pytest.raises(GatewayRefused):
            adyen_stage.gateway.cancel("A" * 16, idempotency_key="k", deadline_seconds=5)

    @pytest.mark.parametrize("token", ["{", "{}", '{"type": 7}'])
    def test_a_token_that_is_no_payment_method_is_never_sent(self, adyen_stage: AdyenStage, token: str) -> None:
        pool = Answering(200, {})
        with pytest.raises(GatewayRefused):
            gateway_at(pool).authorize(adyen_stage.request(token=token), deadline_seconds=5)
        assert pool.asked == []

    def test_a_stored_card_is_charged_as_one_on_file(self, adyen_stage: AdyenStage) -> None:
        pool = Answering(200, {"resultCode": "Pending"})
        request = replace(adyen_stage.request(token="8416038790273850"), gateway_customer_id="shopper-1")
        gateway_at(pool).authorize(request, deadline_seconds=5)
        ((_, _, body),) = pool.asked
        assert (body["shopperInteraction"], body["recurringProcessingModel"]) == ("ContAuth", "CardOnFile")
        assert (body["shopperReference"], body["paymentMethod"]["type"]) == ("shopper-1", "scheme")
        answer = adyen_stage.gateway.authorize(request, deadline_seconds=5)
        assert (answer.outcome, answer.brand) == (Outcome.SUCCEEDED, "visa")

    def test_a_mastercard_is_called_so(self, adyen_stage: AdyenStage) -> None:
        request = adyen_stage.request(token=card("APPROVED", "5555444433331111"))
        assert adyen_stage.gateway.authorize(request, deadline_seconds=5).brand == "mastercard"


class TestAddress:
    def test_the_live_address_begins_with_the_companys_prefix(self, adyen_stage: AdyenStage) -> None:
        pool = Answering(200, {"resultCode": "Pending"})
        account = GatewayCredentials("AQE", merchant_account=MERCHANT_ACCOUNT, url_prefix="1797a841fbb37ca7-Holdfast")
        AdyenGateway(account, pool=pool).authorize(adyen_stage.request(), deadline_seconds=5)
        ((url, _, _),) = pool.asked
        prefix = "1797a841fbb37ca7-Holdfast"
        assert url == f"https://{prefix}-checkout-live.adyenpayments.com/checkout/v72/payments"

    @pytest.mark.parametrize("prefix", [None, "", "evil.example/", "a@b", "a b"])
    def test_an_account_without_a_good_prefix_has_no_live_address(self, prefix: str | None) -> None:
        account = GatewayCredentials("AQE", merchant_account=MERCHANT_ACCOUNT, url_prefix=prefix)
        with pytest.raises(GatewayRefused):
            AdyenGateway(account, pool=urllib3.PoolManager(), base_url=LIVE_BASE_URL)

    def test_an_account_needs_its_merchant_account(self) -> None:
        with pytest.raises(GatewayRefused):
            AdyenGateway(GatewayCredentials("AQE"), pool=urllib3.PoolManager(), base_url="https://adyen.test")
