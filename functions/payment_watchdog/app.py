"""The watchdog for payments: unprocessed events, undecided payments, money owed back, authorizations that expire."""

import logging
from collections.abc import Mapping
from typing import Any

from holdfast.flows.checkout.payment_methods import forget_methods
from holdfast.flows.money.gateway_run import GatewayRun
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import Shares, time_left
from holdfast.web.telemetry import correlated, count

_logger = logging.getLogger(__name__)


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Go through everything that payments wait for, once.

    Stored events come first, because they need no gateway. Each task that needs one has a share of the time, and a
    gateway that is unavailable does not use up the time of the others.
    """
    with correlated(str(event.get("id", "tick"))):
        events_announced, trouble = _sweep()
        left_seconds = time_left(context)
        run, shares = GatewayRun(left_seconds), Shares(left_seconds, tasks=4)
        done = {
            "events_announced": events_announced,
            "payments_checked": check_payments(runtime(), utc_now, run.within(shares.next_share())),
            "returns_resumed": resume_returns(runtime(), utc_now, run.within(shares.next_share())),
            "authorizations_looked_after": watch_authorizations(runtime(), utc_now, run.within(shares.next_share())),
            "methods_forgotten": forget_methods(runtime(), utc_now, shares.next_share()),
            "gateway_accounts_left_alone": len(run.left_alone),
        }
        count("PaymentEventsSwept", done["events_announced"])
        count("PaymentsChecked", done["payments_checked"])
        count("MoneyReturnsResumed", done["returns_resumed"])
        count("AuthorizationsLookedAfter", done["authorizations_looked_after"])
        count("GatewayAccountsLeftAlone", done["gateway_accounts_left_alone"])
        if trouble is not None:
            raise trouble
        return done


def _sweep() -> tuple[int, Exception | None]:
    """Announce stored events again. Return how many, and the error that prevented it, which must not stop the rest."""
    try:
        return sweep_payment_events(runtime(), utc_now()), None
    except Exception as error:
        _logger.exception("stored payment events could not be announced")
        return 0, error
