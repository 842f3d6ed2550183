"""A server's memory in a JSON file, so that it finds its payments again after a restart of the local system."""

import json
import logging
from collections import OrderedDict
from dataclasses import fields
from pathlib import Path
from typing import Any, Final

from local.gateway_server.courier import Courier, Delivery
from local.gateway_server.ledger import Ledger
from local.gateway_server.model import Event, StoredAnswer

_LOG: Final = logging.getLogger(__name__)


class StateFile:
    """Written as a whole and renamed into place, so that a crash leaves the last complete state."""

    def __init__(self, path: Path, ledger: Ledger, courier: Courier) -> None:
        self._path = path
        self._ledger = ledger
        self._courier = courier
        self._saved_changes = 0

    def load(self) -> None:
        """Load the file's state. A file that cannot be read is put aside, and the server starts empty."""
        if not self._path.exists():
            return
        try:
            self._take(json.loads(self._path.read_text()))
        except (ValueError, TypeError, KeyError, AttributeError):
            aside = self._path.with_suffix(".unreadable")
            self._path.replace(aside)
            _LOG.warning("the state could not be read; it lies in %s now", aside)

    def save(self) -> None:
        """Write the state if anything changed."""
        if self._ledger.changes == self._saved_changes:
            return
        self._saved_changes = self._ledger.changes
        ledger = self._ledger
        state = {
            **{name: list(getattr(ledger, name).values()) for name in ledger.TABLES},
            "answers": {name: answer for name, answer in ledger.answers.items() if answer.body is not None},
            "events": list(ledger.events),
            "pending": list(self._courier.pending.values()),
        }
        written = self._path.with_suffix(".new")
        written.write_text(json.dumps(state, default=_as_mapping))
        written.replace(self._path)

    def _take(self, state: dict[str, Any]) -> None:
        """Build everything before putting it into the ledger: all or nothing."""
        ledger = self._ledger
        tables = {name: {item["id"]: kind(**item) for item in state[name]} for name, kind in ledger.TABLES.items()}
        answers = OrderedDict((name, StoredAnswer(**item)) for name, item in state["answers"].items())
        events = [Event(**item) for item in state["events"]]
        pending = {item["id"]: Delivery(**item) for item in state["pending"]}
        for name, items in tables.items():
            getattr(ledger, name).update(items)
        ledger.answers.update(answers)
        ledger.events.extend(events)
        self._courier.pending.update(pending)


def _as_mapping(item: Any) -> dict[str, Any]:
    return {field.name: getattr(item, field.name) for field in fields(item)}
