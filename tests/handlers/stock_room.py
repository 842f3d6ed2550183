"""A door with a manager, and the samples of the operations API about a warehouse that exists."""

import json
from typing import Any

from tests.handlers.door import Door, Reply

SAMPLE_WAREHOUSE = "01930000-0000-7000-8000-0000000000a1"
SAMPLE_VARIANT = "01930000-0000-7000-8000-0000000000a2"


class StockRoom:
    """A member of the operations team who works on stock."""

    def __init__(self, door: Door, role: str = "manager") -> None:
        self.door = door
        self.house = door.house
        self.who = door.staff(role)

    def ask(self, route: str, body: Any = None, **how: Any) -> Reply:
        """Send one request as the manager."""
        return self.door.ask(route, body, who=self.who, **how)

    def sample(self, name: str, **ids: str) -> Reply:
        """Send a sample event as the manager; ``ids`` maps each id in the sample to the one that replaces it."""
        text = json.dumps(self.door.sample(name))
        for old, new in ids.items():
            text = text.replace(old, new)
        event = json.loads(text)
        event["requestContext"]["authorizer"]["jwt"]["claims"] |= self.who
        return self.door.send(event)

    def receive(self, quantity: int, sku: str = "TEE", warehouse: str = "EWR", **how: Any) -> Reply:
        """Receive goods."""
        return self.ask("POST /v1/ops/stock/receipts", self.lines(quantity, sku, warehouse), **how)

    def adjust(self, quantity: int, sku: str = "TEE", warehouse: str = "EWR", **more: Any) -> Reply:
        """Correct a count."""
        how = {name: more.pop(name) for name in ("key",) if name in more}
        body = self.lines(quantity, sku, warehouse) | {"reason": "counted"} | more
        return self.ask("POST /v1/ops/stock/adjustments", body, **how)

    def lines(self, quantity: int, sku: str, warehouse: str) -> dict[str, Any]:
        """Return a body with one line."""
        return {
            "warehouse_id": str(self.house.warehouses[warehouse]),
            "lines": [{"sku": sku, "quantity": quantity}],
        }
