"""The local Stripe itself: what it promises to demos and tests."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
import urllib3

from tests.gateways.receiver import Received, Receiver
from tests.gateways.stripe_stage import StripeStage, running_stripe_server

SIMPLE = {"amount": "1999", "currency": "usd", "confirm": "true", "allowed_payment_method_types[]": "card"}


class Api:
    """Stripe's API, called by hand: bytes and headers, nothing interpreted."""

    def __init__(self, stage: StripeStage, pool: urllib3.PoolManager) -> None:
        self._stage = stage
        self._pool = pool

    def post(self, path: str, form: dict[str, str], key: str | None = None) -> urllib3.BaseHTTPResponse:
        headers = {"Authorization": f"Bearer {self._stage.api_key}"} | ({"Idempotency-Key": key} if key else {})
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return self._pool.request(
            "POST", self._stage.base_url + path, body=urlencode(form), headers=headers, timeout=10
        )

    def pay(self, key: str | None = None, *, token: str = "pm_card_visa", **more: str) -> urllib3.BaseHTTPResponse:
        return self.post("/v1/payment_intents", {**SIMPLE, "payment_method": token, **more}, key)


@pytest.fixture
def api(stripe_stage: StripeStage, pool: urllib3.PoolManager) -> Api:
    return Api(stripe_stage, pool)


def types_of(received: list[Received]) -> list[str]:
    return [json.loads(one.body)["type"] for one in received]


def arrived(*types: str) -> Callable[[Any], bool]:
    return lambda received: set(types) <= set(types_of(received))


class TestIdempotencyKeys:
    @pytest.mark.parametrize("token", ["pm_card_visa", "pm_card_chargeDeclined"])
    def test_the_stored_answer_is_replayed_byte_for_byte(self, api: Api, token: str) -> None:
        key = str(uuid4())
        first, second = api.pay(key, token=token), api.pay(key, token=token)
        assert (first.status, first.data) == (second.status, second.data)
        assert "Idempotent-Replayed" not in first.headers
        assert second.headers["Idempotent-Replayed"] == "true"
        assert second.headers["Original-Request"] == first.headers["Request-Id"]

    def test_a_key_whose_first_request_is_in_flight_answers_409(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(delay_seconds=0.3)
        key = str(uuid4())
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: api.pay(key), range(4)))
        assert sorted(answer.status for answer in answers) == [200, 409, 409, 409]
        conflict = next(answer for answer in answers if answer.status == 409)
        assert conflict.json()["error"]["code"] == "idempotency_key_in_use"
        assert api.pay(key).status == 200

    def test_a_request_that_was_never_valid_does_not_use_its_key_up(self, api: Api) -> None:
        key = str(uuid4())
        assert api.pay(key, amount="1").status == 400
        assert api.pay(key).status == 200

    def test_a_commanded_outage_does_not_use_the_key_up_but_a_failed_execution_does(
        self, api: Api, stripe_stage: StripeStage
    ) -> None:
        key = str(uuid4())
        stripe_stage.behave(http_status=503)
        assert [api.pay(key).status, api.pay(key).status] == [503, 200]
        other = str(uuid4())
        stripe_stage.behave(http_status=500, execute=True)
        assert [api.pay(other).status, api.pay(other).status] == [500, 500]


class TestWebhooks:
    def test_a_delivery_is_repeated_until_the_receiver_takes_it(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.receiver.answers = [500, 404, 301]
        api.post("/v1/payment_intents", {"amount": "1999", "currency": "usd"})
        received = stripe_stage.receiver.wait_until(lambda deliveries: len(deliveries) == 4)
        assert {one.body for one in received} == {received[0].body}

    def test_slow_receivers_lose_nothing(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.receiver.let_through.clear()
        for _ in range(40):
            api.post("/v1/payment_intents", {"amount": "1999", "currency": "usd"})
        assert stripe_stage.control("GET", "/deliveries?state=pending")["count"] >= 40
        stripe_stage.receiver.let_through.set()
        received = stripe_stage.receiver.wait_until(lambda deliveries: len(deliveries) >= 40)
        assert len({json.loads(one.body)["id"] for one in received}) == 40

    def test_the_webhook_can_come_before_the_answer(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(webhooks={"before_answer": True})
        assert api.pay().status == 200
        assert "payment_intent.succeeded" in types_of(stripe_stage.receiver.received)

    def test_webhooks_can_come_backwards(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(webhooks={"reverse": True})
        api.pay()
        received = stripe_stage.receiver.wait_until(arrived("payment_intent.created"))
        assert types_of(received) == ["payment_intent.succeeded", "charge.succeeded", "payment_intent.created"]

    def test_webhooks_can_come_twice_and_only_those_meant(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(webhooks={"duplicates": 1, "only": ["payment_intent.succeeded"]})
        api.pay()
        received = stripe_stage.receiver.wait_until(lambda deliveries: len(deliveries) == 4)
        assert types_of(received).count("payment_intent.succeeded") == 2

    def test_webhooks_can_be_lost_and_sent_again_on_demand(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(webhooks={"drop": True})
        intent = api.pay().json()["id"]
        (lost,) = stripe_stage.control("GET", f"/events?type=payment_intent.succeeded&payment={intent}")
        assert stripe_stage.receiver.received == []
        stripe_stage.control("POST", f"/events/{lost['id']}/resend")
        (only,) = stripe_stage.receiver.wait_until(bool)
        assert json.loads(only.body)["id"] == lost["id"]

    def test_webhooks_can_be_late(self, api: Api, stripe_stage: StripeStage) -> None:
        stripe_stage.behave(webhooks={"delay_seconds": 0.3})
        api.pay()
        assert stripe_stage.receiver.received == []
        stripe_stage.receiver.wait_until(arrived("payment_intent.succeeded"))

    def test_an_event_keeps_what_was_true_when_it_happened(self, api: Api, stripe_stage: StripeStage) -> None:
        intent = api.pay(capture_method="manual").json()["id"]
        api.post(f"/v1/payment_intents/{intent}/capture", {})
        received = stripe_stage.receiver.wait_until(
            arrived("payment_intent.amount_capturable_updated", "payment_intent.succeeded")
        )
        told = {json.loads(one.body)["type"]: json.loads(one.body)["data"]["object"] for one in received}
        assert told["payment_intent.amount_capturable_updated"]["status"] == "requires_capture"
        assert told["payment_intent.succeeded"]["status"] == "succeeded"


class TestCommands:
    def test_a_command_meets_only_the_calls_it_describes(self, api: Api, stripe_stage: StripeStage) -> None:
        match = {"operation": "payment_intents.create", "metadata": {"order_id": "o-1"}, "token": "pm_card_visa"}
        stripe_stage.behave(match=match, decline_code="lost_card", times=2)
        assert api.pay(**{"metadata[order_id]": "o-2"}).status == 200
        for _ in range(2):
            declined = api.pay(**{"metadata[order_id]": "o-1"})
            assert declined.json()["error"]["decline_code"] == "lost_card"
        assert api.pay(**{"metadata[order_id]": "o-1"}).status == 200

    def test_a_command_can_stay_until_it_is_taken_back(self, api: Api, stripe_stage: StripeStage) -> None:
        match = {"operation": "payment_intents", "account": stripe_stage.api_key}
        command = stripe_stage.control("POST", "/behaviors", {"match": match, "http_status": 429, "times": None})
        assert [api.pay().status for _ in range(3)] == [429, 429, 429]
        stripe_stage.control("DELETE", f"/behaviors/{command['id']}")
        assert api.pay().status == 200

    @pytest.mark.parametrize("path", ["/behaviors", "/nothing", "/payment_intents/pi_1/dance"])
    def test_a_command_that_is_not_understood_is_refused(
        self, stripe_stage: StripeStage, pool: urllib3.PoolManager, path: str
    ) -> None:
        answer = pool.request("POST", f"{stripe_stage.base_url}/_control{path}", json={"decline": "yes"})
        assert answer.status in {400, 404}
        assert answer.json()["error"]["message"]

    @pytest.mark.parametrize(
        ("token", "first", "last"),
        [("pm_card_refundFail", "succeeded", "failed"), ("pm_card_pendingRefund", "pending", "succeeded")],
    )
    def test_stripes_refund_cards_do_what_stripe_says(
        self, api: Api, stripe_stage: StripeStage, token: str, first: str, last: str
    ) -> None:
        intent = api.pay(token=token).json()["id"]
        assert api.post("/v1/refunds", {"payment_intent": intent}).json()["status"] == first
        received = stripe_stage.receiver.wait_until(arrived("refund.created", "refund.updated"))
        told = {one["type"]: one["data"]["object"]["status"] for one in (json.loads(r.body) for r in received)}
        assert (told["refund.created"], told["refund.updated"]) == (first, last)

    def test_the_totals_count_charges_and_money_per_order(self, api: Api, stripe_stage: StripeStage) -> None:
        order = {"metadata[order_id]": "o-1"}
        api.pay(token="pm_card_chargeDeclined", **order)
        intent = api.pay(**order).json()["id"]
        api.post("/v1/refunds", {"payment_intent": intent, "amount": "99"})
        api.pay(**{"metadata[order_id]": "o-2", "capture_method": "manual"})
        totals = stripe_stage.control("GET", f"/totals?account={stripe_stage.api_key}&by=order_id")["by"]
        assert totals["o-1"] == {
            "payment_intents": 2, "charges": 2, "charges_succeeded": 1, "charges_captured": 1,
            "captured": 1999, "held": 0, "refunded": 99,
        }  # fmt: skip
        assert (totals["o-2"]["held"], totals["o-2"]["captured"]) == (1999, 0)
        listed = stripe_stage.control("GET", "/payment_intents?metadata[order_id]=o-1")
        assert [len(one["refunds"]) for one in listed if one["account"] == stripe_stage.api_key] == [0, 1]

    def test_a_shopper_meets_their_bank_in_a_browser(
        self, api: Api, stripe_stage: StripeStage, pool: urllib3.PoolManager
    ) -> None:
        answer = api.pay(token="pm_card_authenticationRequired", return_url="https://shop.example/thanks").json()
        page = pool.request("GET", answer["next_action"]["redirect_to_url"]["url"])
        assert page.headers["Content-Type"].startswith("text/html")
        assert f"/_control/payment_intents/{answer['id']}/authenticate" in page.data.decode()


class TestBadRequests:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("POST", "/v1/payment_intents", b"\xff\xfe"),
            ("POST", "/v1/payment_intents", b"amount"),
            ("POST", "/v1/payment_intents", b"amount[=1"),
            ("POST", "/v1/payment_intents", b"metadata=1&metadata[a]=2&amount=1999&currency=usd"),
            ("POST", "/v1/payment_intents", b"amount[a]=1999&currency=usd"),
            ("POST", "/v1/payment_intents", b"a=1&" * 600),
            ("POST", "/v1/payment_intents/pi_1/confirm", b""),
            ("DELETE", "/v1/payment_intents/pi_1", None),
            ("GET", "/v1/customers", None),
            ("GET", "/v1/payment_intents/search?query=nonsense", None),
            ("GET", "/", None),
            ("POST", "/v1/webhook_endpoints", b"url=nowhere&enabled_events[]=*"),
            ("POST", "/_control/behaviors", b"{"),
            ("POST", "/_control/behaviors", b"[]"),
        ],
    )
    def test_nonsense_is_refused_in_stripes_form(
        self, stripe_stage: StripeStage, pool: urllib3.PoolManager, method: str, path: str, body: bytes | None
    ) -> None:
        headers = {"Authorization": f"Bearer {stripe_stage.api_key}"}
        answer = pool.request(method, stripe_stage.base_url + path, body=body, headers=headers)
        assert 400 <= answer.status < 500, answer.data
        assert answer.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize("currency", ["isk", "ugx"])
    def test_whole_units_have_to_be_written_in_hundredths(self, api: Api, currency: str) -> None:
        assert api.pay(currency=currency, amount="50000").status == 200
        refused = api.pay(currency=currency, amount="50050")
        assert refused.status == 400
        assert refused.json()["error"]["code"] == "invalid_charge_amount_no_decimal_compatible"


class TestRestart:
    def test_payments_keys_endpoints_and_pending_webhooks_survive(
        self, tmp_path: Path, pool: urllib3.PoolManager, receiver: Receiver
    ) -> None:
        state = tmp_path / "stripe.json"
        key = str(uuid4())
        receiver.answers = [500] * 3
        with running_stripe_server("--state", str(state)) as base_url:
            before = StripeStage(base_url, pool, receiver)
            first = Api(before, pool).pay(key)
            receiver.wait_until(lambda received: len(received) >= 3)
        with running_stripe_server("--state", str(state)) as base_url:
            before.base_url = base_url
            assert Api(before, pool).pay(key).data == first.data
            assert before.control("GET", "/totals")["captured"] == 1999
            receiver.wait_until(lambda received: len(received) >= 6)
        assert len({one.body for one in receiver.received}) == 3

    def test_a_state_that_cannot_be_read_is_put_aside(self, tmp_path: Path, pool: urllib3.PoolManager) -> None:
        state = tmp_path / "stripe.json"
        state.write_text('{"intents": [{"colour": "blue"}]}')
        with running_stripe_server("--state", str(state)) as base_url:
            assert pool.request("GET", f"{base_url}/_control/health").json() == {"status": "ok"}
        assert (tmp_path / "stripe.unreadable").exists()
