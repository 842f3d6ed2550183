"""The deadline, corrections, staff and shoppers want one review at the same instant: exactly one of them gets it."""

from collections.abc import Callable
from functools import partial

import pytest

from holdfast.flows.addresses.watch_reviews import watch_reviews
from tests.faults.production import Production
from tests.faults.settings import HEAVY
from tests.faults.verdict import Verdict
from tests.flows import moving
from tests.flows.actions import staff
from tests.flows.reviewing import TO_RENO, answer, asked, in_review, review, steps, token, watch
from tests.house import House
from tests.races.crowd import rush, tally

ROUNDS = 100 if HEAVY else 12
ENDINGS = {"corrected", "resolved", "cancelled", "expired"}


@pytest.fixture
def shop(house: House) -> House:
    moving.shop(house)
    house.add_variant(stock={"EWR": 200, "RNO": 200})
    return house


def watched_at_the_deadline(house: House, order_id: str) -> Callable[[], object]:
    """Return a tick of the review watch at the very deadline, while the others act a moment before it."""
    deadline_at = review(house, order_id)["deadline_at"]
    return partial(watch_reviews, house.system, lambda: deadline_at, lambda: 60.0)


def ended_once(house: House, order_id: str) -> str:
    """Return the single ending of the order's review."""
    [ending] = [step for step in steps(house, order_id) if step in ENDINGS]
    return ending


def test_of_a_correction_and_the_deadline_exactly_one_wins(shop: House, production: Production) -> None:
    seen = set()
    for _ in range(ROUNDS):
        order_id = in_review(shop)
        link = token(shop, order_id)
        outcomes = rush([partial(answer, shop, link, TO_RENO), watched_at_the_deadline(shop, order_id)])
        watch(shop)
        ending = ended_once(shop, order_id)
        seen.add(ending)
        status = shop.order(order_id)["status"]
        if ending == "corrected":
            assert (status, isinstance(outcomes[0], dict)) == ("confirmed", True), outcomes
        else:
            assert (ending, status, type(outcomes[0]).__name__) == ("expired", "cancelled", "LinkUsed"), outcomes
        production.until_quiet()
    assert seen <= {"corrected", "expired"}
    production.webhooks_arrive()
    production.until_quiet()
    assert Verdict(production).news() == []


def test_of_many_clicks_on_one_link_exactly_one_counts(shop: House, production: Production) -> None:
    for _ in range(ROUNDS // 2):
        order_id = in_review(shop)
        link = token(shop, order_id)
        clicks: list[Callable[[], object]] = [partial(answer, shop, link, TO_RENO) for _ in range(4)]
        clicks += [partial(answer, shop, link, confirm=True) for _ in range(2)]
        outcomes = rush(clicks)
        assert sum(isinstance(outcome, dict) for outcome in outcomes) == 1, outcomes
        assert tally([o for o in outcomes if not isinstance(o, dict)]) == {"LinkUsed": 5}, outcomes
        assert ended_once(shop, order_id) in {"corrected", "resolved"}
    production.until_quiet()
    assert Verdict(production).news() == []


def test_a_shopper_and_the_staff_settle_an_address_once(shop: House, production: Production) -> None:
    manager = staff(shop)
    for _ in range(ROUNDS // 2):
        order_id = in_review(shop)
        link = token(shop, order_id)
        jobs: list[Callable[[], object]] = [
            partial(answer, shop, link, TO_RENO),
            partial(asked, shop, manager, order_id, "cancel_review", version=1),
            partial(asked, shop, manager, order_id, "resolve_review", version=1),
            partial(shop.cancel, order_id),
        ]
        outcomes = rush(jobs)
        ending = ended_once(shop, order_id)
        status = shop.order(order_id)["status"]
        # The shopper may also cancel a confirmed order, which is not a second ending of the review.
        assert status == "cancelled" or ending in {"corrected", "resolved"}, outcomes
        assert tally(outcomes[1:3]).keys() - {"Conflict"} <= {str(o) for o in outcomes[1:3] if isinstance(o, dict)}
        production.until_quiet()
    production.webhooks_arrive()
    production.until_quiet()
    assert Verdict(production).news() == []


def test_two_watches_at_once_remind_once_and_cancel_once(shop: House, production: Production) -> None:
    orders = [in_review(shop) for _ in range(6)]
    shop.clock.now = max(review(shop, order_id)["reminder_at"] for order_id in orders)
    done = rush([partial(watch, shop) for _ in range(3)])
    assert sum(each.reminded for each in done if not isinstance(each, Exception)) == 6, done
    shop.clock.now = max(review(shop, order_id)["deadline_at"] for order_id in orders)
    done = [*rush([partial(watch, shop) for _ in range(3)]), watch(shop)]
    assert sum(each.cancelled for each in done if not isinstance(each, Exception)) == 6, done
    assert all(not isinstance(each, Exception) and each.failed == 0 for each in done)
    assert [steps(shop, order_id) for order_id in orders] == [["begun", "reminded", "expired"]] * 6
    production.until_quiet()
    assert Verdict(production).news() == []
