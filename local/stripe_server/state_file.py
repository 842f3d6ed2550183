"""The server's memory in a JSON file, so that a restart of the local system finds its payments again."""

import json
import logging
from collections import OrderedDict
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from local.stripe_server.ledger import Ledger
from local.stripe_server.model import Charge, Endpoint, Event, Intent, Refund, StoredAnswer
from local.stripe_server.webhooks import Courier, Delivery

_LOG: Final = logging.getLogger(__name__)


class StateFile:
    """Written whole and renamed into place: a crash leaves the last complete state."""

    def __init__(self, path: Path, ledger: Ledger, courier: Courier) -> None:
        self._path = path
        self._ledger = ledger
        self._courier = courier
        self._saved_changes = 0

    def load(self) -> None:
        """Take the file's state. One that cannot be read is put aside, and the server starts empty."""
        if not self._path.exists():
            return
        try:
            self._take(json.loads(self._path.read_text()))
        except (ValueError, TypeError, KeyError, AttributeError):
            aside = self._path.with_suffix(".unreadable")
            self._path.replace(aside)
            _LOG.warning("the state could not be read; it lies in %s now", aside)

    def save(self) -> None:
        """Write the state, if anything changed."""
        if self._ledger.changes == self._saved_changes:
            return
        self._saved_changes = self._ledger.changes
        ledger = self._ledger
        state = {
            "intents": [asdict(intent) for intent in ledger.intents.values()],
            "charges": [asdict(charge) for charge in ledger.charges.values()],
            "refunds": [asdict(refund) for refund in ledger.refunds.values()],
            "endpoints": [asdict(endpoint) for endpoint in ledger.endpoints.values()],
            "payment_methods": ledger.payment_methods,
            "answers": {name: asdict(answer) for name, answer in ledger.answers.items() if answer.body is not None},
            "events": [asdict(event) for event in ledger.events],
            "pending": [asdict(delivery) for delivery in self._courier.pending.values()],
        }
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(state))
        written.replace(self._path)

    def _take(self, state: dict[str, Any]) -> None:
        """Build everything first, then put it into the ledger: all or nothing."""
        intents = {item["id"]: Intent(**item) for item in state["intents"]}
        charges = {item["id"]: Charge(**item) for item in state["charges"]}
        refunds = {item["id"]: Refund(**item) for item in state["refunds"]}
        endpoints = {item["id"]: Endpoint(**item) for item in state["endpoints"]}
        answers = OrderedDict((name, StoredAnswer(**item)) for name, item in state["answers"].items())
        events = [Event(**item) for item in state["events"]]
        pending = {item["id"]: Delivery(**item) for item in state["pending"]}
        ledger = self._ledger
        ledger.payment_methods.update(state["payment_methods"])
        ledger.intents.update(intents)
        ledger.charges.update(charges)
        ledger.refunds.update(refunds)
        ledger.endpoints.update(endpoints)
        ledger.answers.update(answers)
        ledger.events.extend(events)
        self._courier.pending.update(pending)
