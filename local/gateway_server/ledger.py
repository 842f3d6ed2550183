"""A server's memory, and how an event is recorded."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final

from local.gateway_server.model import Endpoint, Event, StoredAnswer, new_id

EVENTS_KEPT_MAX: Final = 100_000


class Ledger:
    """All objects by id. Used from one event loop only: no method awaits, so each is atomic.

    A vendor's ledger adds its objects and names them in ``TABLES``.
    """

    TABLES: ClassVar[Mapping[str, type[Any]]] = {"endpoints": Endpoint}
    """The attributes that hold dataclasses by id, which a state file keeps."""

    def __init__(self) -> None:
        self.endpoints: dict[str, Endpoint] = {}
        self.answers: OrderedDict[str, StoredAnswer] = OrderedDict()
        """Account and idempotency key -> answer, oldest first."""
        self.events: deque[Event] = deque(maxlen=EVENTS_KEPT_MAX)
        self.unsent: list[Event] = []
        """Events of the call being executed, in the order they happened."""
        self.changes = 0
        """Grows with every change, so that a saver can tell whether there is anything to save."""

    def now(self) -> int:
        """Return the time in Unix seconds."""
        return int(time.time())

    def put_down(
        self, event_type: str, account: str, object_id: str, payment: str, render: Callable[[Event, int], str]
    ) -> None:
        """Record an event.

        ``render`` makes its body, given the number of endpoints that want it; without any, no body is made.
        """
        self.changes += 1
        event = Event(new_id("evt"), account, event_type, self.now(), object_id, payment)
        wanting = sum(endpoint.wants(account, event_type) for endpoint in self.endpoints.values())
        if wanting:
            event.body = render(event, wanting)
        self.events.append(event)
        self.unsent.append(event)

    def take_unsent(self) -> list[Event]:
        """Return the events since the last call, to be delivered."""
        taken, self.unsent = self.unsent, []
        return taken

    def forget(self) -> None:
        """Forget everything."""
        for name in self.TABLES:
            getattr(self, name).clear()
        self.answers.clear()
        self.events.clear()
        self.changes += 1
