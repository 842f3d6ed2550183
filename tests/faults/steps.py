"""Steps that only tests take, beside those of ``prove/steps.py``: one by one, or a part of a tick."""

from holdfast.flows.addresses.answer_review import AnswerReview, answer_review
from holdfast.flows.addresses.locate_address import AddressSearch
from holdfast.flows.addresses.watch_reviews import watch_reviews
from holdfast.flows.addresses.work_reviews import ReviewRequest, Whole, correct_review
from holdfast.flows.checkout import place_order as place_order_module
from holdfast.flows.checkout.charge_payment import Attempt
from holdfast.flows.checkout.place_order import PlaceOrder
from holdfast.flows.claims.idempotency import Answer
from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.runtime import Runtime
from holdfast.web.answers import change_answer
from prove.steps import TIME_LEFT_SECONDS, Clock


def place_without_paying(runtime: Runtime, clock: Clock, command: PlaceOrder) -> None:
    """Place an order as a checkout that died right after its commit would: the gateway was not asked anything."""
    search = AddressSearch(runtime, command.caller.organization_id, command.request.shipping_address)
    attempt = place_order_module._try_to_place(runtime, command, search, clock(), {})
    assert isinstance(attempt, Attempt)


def answer_link(runtime: Runtime, clock: Clock, answer: AnswerReview) -> str:
    """``POST /v1/address-reviews/{token}``."""
    return str(answer_review(runtime, answer, clock)["status"])


def correct_address(runtime: Runtime, clock: Clock, request: ReviewRequest, address: Whole) -> Answer:
    """``POST /v1/ops/address-reviews/{id}/correct``."""
    return correct_review(runtime, request, address, clock, change_answer("address_review"), is_confirmed=False)


def watch_addresses(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``address_review_watch``."""
    done = watch_reviews(runtime, clock, lambda: TIME_LEFT_SECONDS)
    return done.reminded + done.cancelled


def keep_dead_letters(runtime: Runtime, clock: Clock) -> int:
    """A tick of ``dlq_retries``."""
    auto_replay(runtime, clock)
    count_dead_letters(runtime, clock())
    return alert_dead_letters(runtime, clock)
