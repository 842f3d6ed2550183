"""The watchdog of money: unprocessed events, undecided payments, money owed back, held money that runs out."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.checkout.payment_methods import forget_methods
from holdfast.flows.money.watch_authorizations import watch_authorizations
from holdfast.flows.money.watch_payments import check_payments, resume_returns, sweep_payment_events
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """One look at everything that money waits for. What needs the queue comes last: it must not stop the rest."""
    with correlated(str(event.get("id", "tick"))):
        done = {
            "payments_checked": check_payments(runtime(), utc_now, time_left(context)),
            "returns_resumed": resume_returns(runtime(), utc_now, time_left(context)),
            "authorizations_looked_after": watch_authorizations(runtime(), utc_now, time_left(context)),
            "methods_forgotten": forget_methods(runtime(), utc_now, time_left(context)),
            "events_announced": sweep_payment_events(runtime(), utc_now()),
        }
        count("PaymentEventsSwept", done["events_announced"])
        count("PaymentsChecked", done["payments_checked"])
        count("MoneyReturnsResumed", done["returns_resumed"])
        count("AuthorizationsLookedAfter", done["authorizations_looked_after"])
        return done
