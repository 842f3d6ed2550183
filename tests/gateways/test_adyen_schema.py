"""Requests and answers compared with what Adyen publishes: its OpenAPI document of Checkout v72, and its SDK's client.

The SDK has no models, so the fields of the few objects in use are listed here as they are in the document:
https://github.com/Adyen/adyen-openapi/blob/main/json/CheckoutService-v72.json.
"""

import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import Adyen
import pytest
from Adyen.services.checkout.modifications_api import ModificationsApi

from holdfast.gateways.adyen import API_VERSION
from holdfast.values.money import Money
from local.adyen_server import modifications, payments
from tests.gateways.adyen_stage import MERCHANT_ACCOUNT, AdyenStage
from tests.gateways.test_adyen_adapter import Answering, gateway_at

PAYMENT_REQUEST = frozenset(
    (
        "accountInfo", "additionalAmount", "additionalData", "amount", "applicationInfo", "authenticationData",
        "bankAccount", "billingAddress", "browserInfo", "captureDelayHours", "channel", "checkoutAttemptId", "company",
        "countryCode", "dateOfBirth", "dccQuote", "deliverAt", "deliveryAddress", "deviceFingerprint",
        "enableOneClick", "enablePayOut", "enableRecurring", "enhancedSchemeData", "entityType", "fraudOffset",
        "fundOrigin", "fundRecipient", "industryUsage", "installments", "lineItems", "localizedShopperStatement",
        "mandate", "mcc", "merchantAccount", "merchantOrderReference", "merchantRiskIndicator", "metadata", "mpiData",
        "order", "orderReference", "origin", "paymentMethod", "platformChargebackLogic", "recurringExpiry",
        "recurringFrequency", "recurringProcessingModel", "redirectFromIssuerMethod", "redirectToIssuerMethod",
        "reference", "returnUrl", "riskData", "sessionValidity", "shopperEmail", "shopperIP", "shopperInteraction",
        "shopperLocale", "shopperName", "shopperReference", "shopperStatement", "socialSecurityNumber", "splits",
        "store", "storePaymentMethod", "surcharge", "telephoneNumber", "threeDS2RequestData",
    )
)  # fmt: skip
REQUIRED_OF_PAYMENT = frozenset(("amount", "merchantAccount", "paymentMethod", "reference", "returnUrl"))
DETAILS_REQUEST = frozenset(("authenticationData", "details", "paymentData", "threeDSAuthenticationOnly"))
PAYMENT_RESPONSE = frozenset(
    (
        "action", "additionalData", "amount", "donationToken", "fraudResult", "merchantReference", "order",
        "paymentMethod", "paymentValidations", "pspReference", "refusalReason", "refusalReasonCode", "resultCode",
        "threeDS2ResponseData", "threeDS2Result", "threeDSPaymentData",
    )
)  # fmt: skip
REDIRECT_ACTION = frozenset(("data", "method", "paymentMethodType", "type", "url"))
CAPTURE_REQUEST = frozenset(
    (
        "amount", "applicationInfo", "enhancedSchemeData", "lineItems", "merchantAccount", "platformChargebackLogic",
        "reference", "splits", "subMerchants",
    )
)  # fmt: skip
CANCEL_REQUEST = frozenset(("applicationInfo", "enhancedSchemeData", "merchantAccount", "reference"))
STANDALONE_CANCEL_REQUEST = CANCEL_REQUEST | {"paymentReference"}
REFUND_REQUEST = frozenset(
    (
        "amount", "applicationInfo", "capturePspReference", "enhancedSchemeData", "lineItems", "merchantAccount",
        "merchantRefundReason", "reference", "splits", "store",
    )
)  # fmt: skip
RECEIVED = frozenset(
    (
        "amount", "capturePspReference", "lineItems", "merchantAccount", "merchantRefundReason", "paymentPspReference",
        "paymentReference", "platformChargebackLogic", "pspReference", "reference", "splits", "status", "store",
        "subMerchants",
    )
)  # fmt: skip
NOTIFICATION_ITEM = frozenset(
    (
        "additionalData", "amount", "eventCode", "eventDate", "merchantAccountCode", "merchantReference", "operations",
        "originalReference", "paymentMethod", "pspReference", "reason", "success",
    )
)  # fmt: skip


def test_the_pinned_version_is_the_one_the_sdk_speaks() -> None:
    base_url: str = ModificationsApi().baseUrl
    assert base_url.endswith(f"/{API_VERSION}"), "read Adyen's release notes, then move API_VERSION with the SDK"


@pytest.mark.parametrize(
    ("accepted", "published"),
    [
        (payments.CREATE_FIELDS, PAYMENT_REQUEST),
        (payments.DETAILS_FIELDS, DETAILS_REQUEST),
        (modifications.FIELDS["captures"], CAPTURE_REQUEST),
        (modifications.FIELDS["cancels"], CANCEL_REQUEST),
        (modifications.FIELDS["refunds"], REFUND_REQUEST),
        (modifications.FIELDS["reversals"], CANCEL_REQUEST),
        (modifications.STANDALONE_FIELDS, STANDALONE_CANCEL_REQUEST),
    ],
)
def test_the_local_server_accepts_no_field_that_adyen_does_not(
    accepted: frozenset[str], published: frozenset[str]
) -> None:
    assert not accepted - published


def test_the_adapter_sends_only_fields_that_adyen_has(adyen_stage: AdyenStage) -> None:
    pool = Answering(201, {"resultCode": "Pending", "status": "received", "pspReference": "X"})
    gateway, money = gateway_at(pool), Money(1, "USD")
    key: dict[str, Any] = {"idempotency_key": "k", "deadline_seconds": 5.0}
    calls: list[tuple[Callable[[], Any], str, frozenset[str]]] = [
        (lambda: gateway.authorize(adyen_stage.request(), deadline_seconds=5), "/payments", PAYMENT_REQUEST),
        (
            lambda: gateway.authorize(adyen_stage.request(capture_now=False), deadline_seconds=5),
            "/payments",
            PAYMENT_REQUEST,
        ),
        (
            lambda: gateway.authorize(adyen_stage.request(save_method=True, customer_id=uuid4()), deadline_seconds=5),
            "/payments",
            PAYMENT_REQUEST,
        ),
        (
            lambda: gateway.complete_action(adyen_stage.request(), {"redirectResult": "x"}, deadline_seconds=5),
            "/payments/details",
            DETAILS_REQUEST,
        ),
        (lambda: gateway.capture("X", money, **key), "/payments/X/captures", CAPTURE_REQUEST),
        (lambda: gateway.cancel("X", **key), "/payments/X/cancels", CANCEL_REQUEST),
        (lambda: gateway.cancel("reference:r", **key), "/cancels", STANDALONE_CANCEL_REQUEST),
        (lambda: gateway.refund("X", money, refund_id=uuid4(), **key), "/payments/X/refunds", REFUND_REQUEST),
    ]
    for call, path, published in calls:
        call()
        url, _, body = pool.asked[-1]
        assert url == f"https://adyen.test/{API_VERSION}{path}"
        assert not body.keys() - published, path
        if published is PAYMENT_REQUEST:
            assert not REQUIRED_OF_PAYMENT - body.keys()
            assert len(body["reference"]) <= 80
            assert len(body["metadata"]) <= 20
            assert all(len(name) <= 20 and len(value) <= 80 for name, value in body["metadata"].items())


def test_adyens_own_client_pays_captures_refunds_and_cancels_at_the_local_server(adyen_stage: AdyenStage) -> None:
    client = Adyen.Adyen(xapikey=adyen_stage.api_key, platform="test", http_force="urllib")
    address = f"{adyen_stage.base_url}/{API_VERSION}"
    checkout = client.checkout
    checkout.payments_api.baseUrl = checkout.modifications_api.baseUrl = address
    amount = {"value": 1999, "currency": "EUR"}
    asked = {
        "merchantAccount": MERCHANT_ACCOUNT,
        "amount": amount,
        "reference": "YOUR_ORDER_NUMBER",
        "returnUrl": "https://your-company.example.com",
        "paymentMethod": json.loads(adyen_stage.token_ok),
        "additionalData": {"manualCapture": "true"},
    }

    def pay(**changes: Any) -> dict[str, Any]:
        made = checkout.payments_api.payments({**asked, **changes}, idempotency_key=str(uuid4()))
        said: dict[str, Any] = made.message
        assert not said.keys() - PAYMENT_RESPONSE
        return said

    held = pay()
    assert held["resultCode"] == "Authorised"
    redirected = pay(paymentMethod={"type": "ideal"})
    assert not redirected["action"].keys() - REDIRECT_ACTION
    assert "pspReference" not in redirected
    change: dict[str, Any] = {"merchantAccount": MERCHANT_ACCOUNT, "amount": amount}
    api = checkout.modifications_api
    received = [
        api.capture_authorised_payment(change, held["pspReference"]).message,
        api.refund_captured_payment(change, held["pspReference"]).message,
        api.cancel_authorised_payment_by_psp_reference(
            {"merchantAccount": MERCHANT_ACCOUNT}, held["pspReference"]
        ).message,
        api.refund_or_cancel_payment({"merchantAccount": MERCHANT_ACCOUNT}, held["pspReference"]).message,
        api.cancel_authorised_payment(
            {"merchantAccount": MERCHANT_ACCOUNT, "paymentReference": "YOUR_ORDER_NUMBER"}
        ).message,
    ]
    for said in received:
        assert said["status"] == "received"
        assert not said.keys() - RECEIVED
    deliveries = adyen_stage.receiver.wait_until(lambda arrived: len(arrived) == 6)
    for delivery in deliveries:
        (wrapped,) = json.loads(delivery.body)["notificationItems"]
        assert not wrapped["NotificationRequestItem"].keys() - NOTIFICATION_ITEM


def test_adyens_own_client_stores_a_method_pays_with_it_and_deletes_it(adyen_stage: AdyenStage) -> None:
    client = Adyen.Adyen(xapikey=adyen_stage.api_key, platform="test", http_force="urllib")
    checkout = client.checkout
    checkout.payments_api.baseUrl = checkout.recurring_api.baseUrl = f"{adyen_stage.base_url}/{API_VERSION}"
    asked: dict[str, Any] = {
        "merchantAccount": MERCHANT_ACCOUNT,
        "amount": {"value": 1999, "currency": "EUR"},
        "reference": "YOUR_ORDER_NUMBER",
        "returnUrl": "https://your-company.example.com",
        "shopperReference": "YOUR_SHOPPER",
        "recurringProcessingModel": "CardOnFile",
    }
    first = {"paymentMethod": json.loads(adyen_stage.token_ok), "storePaymentMethod": True}
    stored = checkout.payments_api.payments({**asked, **first}, idempotency_key=str(uuid4())).message
    token = stored["additionalData"]["tokenization.storedPaymentMethodId"]
    again = {"paymentMethod": {"type": "scheme", "storedPaymentMethodId": token}, "shopperInteraction": "ContAuth"}
    paid = checkout.payments_api.payments({**asked, **again}, idempotency_key=str(uuid4())).message
    assert paid["resultCode"] == "Authorised"
    whose = {"merchantAccount": MERCHANT_ACCOUNT, "shopperReference": "YOUR_SHOPPER"}
    checkout.recurring_api.delete_token_for_stored_payment_details(token, query_parameters=whose)
    with pytest.raises(Adyen.AdyenError):
        checkout.payments_api.payments({**asked, **again}, idempotency_key=str(uuid4()))
