"""The local PayPal itself: what it promises to demos and tests."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import urllib3

from tests.gateways.paypal_stage import PayPalStage
from tests.gateways.receiver import Receiver
from tests.gateways.served import running_server

ORDERS = "/v2/checkout/orders"


class Api:
    """PayPal's API, called by hand."""

    def __init__(self, base_url: str, pool: urllib3.PoolManager, client: str = "client", secret: str = "s") -> None:
        self._base_url, self._pool = base_url, pool
        basic = urllib3.make_headers(basic_auth=f"{client}:{secret}")
        headers = {**basic, "Content-Type": "application/x-www-form-urlencoded"}
        self.access = pool.request(
            "POST", f"{base_url}/v1/oauth2/token", headers=headers, body="grant_type=client_credentials"
        )
        self._token = self.access.json().get("access_token", "none")

    def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, whole: bool = True
    ) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        headers |= {"PayPal-Request-Id": key} if key else {}
        headers |= {"Prefer": "return=representation"} if whole else {}
        data = None if body is None else json.dumps(body)
        return self._pool.request(method, self._base_url + path, body=data, headers=headers, timeout=10)

    def pay(self, *, key: str | None = None, vault_id: str | None = "visa4242", **unit: Any) -> Any:
        body: dict[str, Any] = {"intent": "CAPTURE", "purchase_units": [{"amount": amount("19.99"), **unit}]}
        if vault_id:
            body["payment_source"] = {"card": {"vault_id": vault_id}}
        return self.call("POST", ORDERS, body, key=key)


def amount(value: str, currency: str = "USD") -> dict[str, str]:
    return {"currency_code": currency, "value": value}


def issue(answer: urllib3.BaseHTTPResponse) -> tuple[int, str]:
    return answer.status, answer.json()["details"][0]["issue"]


@pytest.fixture
def api(paypal_stage: PayPalStage) -> Api:
    return Api(paypal_stage.base_url, paypal_stage.pool, paypal_stage.client_id)


class TestSeveralCaptures:
    """Several captures of one authorization, as PayPal allows them."""

    @pytest.fixture
    def captures(self, api: Api) -> str:
        unit = {"amount": amount("100.00"), "invoice_id": f"HF-{uuid4()}"}
        body = {"intent": "AUTHORIZE", "purchase_units": [unit], "payment_source": {"card": {"vault_id": "visa4242"}}}
        order = api.call("POST", ORDERS, body, key=str(uuid4())).json()
        (authorization,) = order["purchase_units"][0]["payments"]["authorizations"]
        return f"/v2/payments/authorizations/{authorization['id']}/capture"

    def test_an_invoice_is_paid_once_and_another_one_of_the_same_authorization_too(
        self, api: Api, captures: str
    ) -> None:
        part = {"amount": amount("40.00"), "invoice_id": f"one-{uuid4()}"}
        assert api.call("POST", captures, part, key="1").status == 201
        assert issue(api.call("POST", captures, part, key="2")) == (422, "DUPLICATE_INVOICE_ID")
        other = api.call("POST", captures, part | {"invoice_id": f"two-{uuid4()}"}, key="3")
        assert (other.status, other.json()["final_capture"]) == (201, False)

    def test_more_than_115_percent_is_refused_over_all_captures(self, api: Api, captures: str) -> None:
        first = {"amount": amount("60.00"), "invoice_id": f"one-{uuid4()}"}
        assert api.call("POST", captures, first, key="1").status == 201
        too_much = {"amount": amount("55.01"), "invoice_id": f"two-{uuid4()}"}
        assert issue(api.call("POST", captures, too_much, key="2")) == (422, "MAX_CAPTURE_AMOUNT_EXCEEDED")

    def test_a_final_one_closes_the_authorization(self, api: Api, captures: str) -> None:
        last = {"amount": amount("60.00"), "invoice_id": f"one-{uuid4()}", "final_capture": True}
        assert api.call("POST", captures, last, key="1").json()["final_capture"] is True
        again = {"amount": amount("10.00"), "invoice_id": f"two-{uuid4()}"}
        assert issue(api.call("POST", captures, again, key="2")) == (422, "AUTHORIZATION_ALREADY_CAPTURED")


class TestRequestIds:
    def test_a_request_id_is_answered_with_what_became_of_the_first(self, api: Api, paypal_stage: PayPalStage) -> None:
        body = {"intent": "CAPTURE", "purchase_units": [{"amount": amount("19.99")}]}
        first = api.call("POST", ORDERS, body, key="one")
        assert (first.status, first.json()["status"]) == (201, "CREATED")
        paypal_stage.approve(first.json()["id"])
        again = api.call("POST", ORDERS, body, key="one")
        assert (again.status, again.json()["id"], again.json()["status"]) == (200, first.json()["id"], "APPROVED")

    def test_an_id_whose_first_request_is_in_flight_answers_409(self, api: Api, paypal_stage: PayPalStage) -> None:
        paypal_stage.behave(operations=["orders.create"], delay_seconds=0.3)
        key = str(uuid4())
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: api.pay(key=key), range(4)))
        assert sorted(answer.status for answer in answers) == [201, 409, 409, 409]
        conflict = next(answer for answer in answers if answer.status == 409)
        assert issue(conflict) == (409, "PREVIOUS_REQUEST_IN_PROGRESS")

    def test_a_refused_request_does_not_use_its_id_up(self, api: Api) -> None:
        assert issue(api.pay(key="one", vault_id="nobody")) == (422, "TOKEN_ID_NOT_FOUND")
        assert api.pay(key="one").status == 201

    def test_a_saved_method_needs_one(self, api: Api) -> None:
        assert issue(api.pay()) == (400, "PAYPAL_REQUEST_ID_REQUIRED")


class TestRefusals:
    @pytest.mark.parametrize(
        ("money", "expected"),
        [
            (amount("19.999"), "DECIMAL_PRECISION"),
            (amount("5.5", "JPY"), "DECIMALS_NOT_SUPPORTED"),
            (amount("5.00", "HUF"), "DECIMALS_NOT_SUPPORTED"),
            (amount("5.00", "KWD"), "CURRENCY_NOT_SUPPORTED"),
            (amount("0.00"), "CANNOT_BE_ZERO_OR_NEGATIVE"),
            (amount("-1.00"), "INVALID_PARAMETER_SYNTAX"),
            ({"currency_code": "USD", "value": 5}, "INVALID_PARAMETER_SYNTAX"),
        ],
        ids=str,
    )
    def test_an_amount_that_paypal_would_not_take_is_refused(self, api: Api, money: Any, expected: str) -> None:
        assert issue(api.pay(key="one", amount=money))[1] == expected

    @pytest.mark.parametrize("secret", ["wrong", ""])
    def test_a_wrong_secret_gets_no_access(self, paypal_server: str, pool: urllib3.PoolManager, secret: str) -> None:
        stranger = Api(paypal_server, pool, secret=secret)
        assert (stranger.access.status, stranger.access.json()["error"]) == (401, "invalid_client")
        assert stranger.call("GET", f"{ORDERS}/5O190127TN364715T").status == 401

    def test_an_order_is_not_taken_before_its_buyer_agreed(self, api: Api) -> None:
        order = api.call("POST", ORDERS, {"intent": "CAPTURE", "purchase_units": [{"amount": amount("1.00")}]}).json()
        refused = api.call("POST", f"{ORDERS}/{order['id']}/capture", {})
        assert issue(refused) == (422, "ORDER_NOT_APPROVED")
        assert issue(api.call("POST", f"{ORDERS}/{order['id']}/authorize", {}))[1] == "ACTION_DOES_NOT_MATCH_INTENT"

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", "/v2/nothing"), ("GET", f"{ORDERS}/nobody"), ("DELETE", f"{ORDERS}/nobody"), ("GET", ORDERS)],
    )
    def test_what_is_not_there_is_404(self, api: Api, method: str, path: str) -> None:
        assert issue(api.call(method, path)) == (404, "INVALID_RESOURCE_ID")


class TestAnswers:
    def test_the_answer_is_minimal_unless_the_whole_is_preferred(self, api: Api) -> None:
        body = {"intent": "CAPTURE", "purchase_units": [{"amount": amount("19.99")}]}
        assert api.call("POST", ORDERS, body, whole=False).json().keys() == {"id", "status", "links"}
        assert "purchase_units" in api.call("POST", ORDERS, body).json()

    def test_a_refund_points_to_its_capture_by_its_link_up_alone(self, api: Api) -> None:
        order = api.pay(key="one", custom_id="mine").json()
        (capture,) = order["purchase_units"][0]["payments"]["captures"]
        refund = api.call("POST", f"/v2/payments/captures/{capture['id']}/refund", {"amount": amount("5.00")}).json()
        (up,) = (link["href"] for link in refund["links"] if link["rel"] == "up")
        assert up.endswith(f"/v2/payments/captures/{capture['id']}")
        assert refund["custom_id"] == "mine"
        assert "supplementary_data" not in refund

    def test_webhooks_are_registered_listed_and_deleted(self, api: Api) -> None:
        given = {"url": "https://shop.example/hook", "event_types": [{"name": "PAYMENT.CAPTURE.COMPLETED"}]}
        webhook = api.call("POST", "/v1/notifications/webhooks", given).json()
        listed = api.call("GET", "/v1/notifications/webhooks").json()["webhooks"]
        assert webhook["id"] in {one["id"] for one in listed}
        assert api.call("DELETE", f"/v1/notifications/webhooks/{webhook['id']}").status == 204


class TestWebhooks:
    def test_a_delivery_that_is_not_taken_comes_again_as_the_same_event(
        self, paypal_stage: PayPalStage, receiver: Receiver
    ) -> None:
        receiver.answers += [500, 503]
        paypal_stage.gateway.authorize(paypal_stage.request(), deadline_seconds=5)
        arrived = receiver.wait_until(lambda received: len(received) >= 3)
        assert len({event.gateway_event_id for event in paypal_stage.parse(arrived)}) == 1
        assert len({one.headers["paypal-transmission-id"] for one in arrived}) == 3

    def test_events_can_be_dropped_delayed_and_sent_before_the_answer(self, paypal_stage: PayPalStage) -> None:
        paypal_stage.behave(operations=["orders.create"], webhooks={"drop": True})
        paypal_stage.gateway.authorize(paypal_stage.request(), deadline_seconds=5)
        paypal_stage.behave(operations=["orders.create"], webhooks={"before_answer": True})
        paypal_stage.gateway.authorize(paypal_stage.request(), deadline_seconds=5)
        assert len(paypal_stage.receiver.received) == 1


def test_a_restart_keeps_payments_certificates_and_webhooks_that_were_not_taken(
    pool: urllib3.PoolManager, receiver: Receiver, tmp_path: Path
) -> None:
    state = str(tmp_path / "state.json")
    receiver.answers += [500] * 2
    with running_server("local.paypal_server", "--state", state) as base_url:
        stage = PayPalStage(base_url, pool, receiver, tmp_path / "roots.pem")
        payment = stage.gateway.authorize(stage.request(), deadline_seconds=5)
        receiver.wait_until(bool)
    with running_server("local.paypal_server", "--state", state) as base_url:
        again = PayPalStage(base_url, pool, receiver, tmp_path / "roots2.pem")
        assert again.roots_file.read_text() == stage.roots_file.read_text()
        order = again.control("GET", f"/orders?account={stage.client_id}")
        assert [one["id"] for one in order] == [payment.gateway_transaction_id]
        receiver.wait_until(lambda received: len(received) >= 3)
