"""What a warehouse is to the shop: where it is, whether it serves orders, and how many a day."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.values.coordinates import Coordinates


class WarehouseStatus(StrEnum):
    """The status of a warehouse. Only an active one is given orders; stock can be moved in and out of any."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class WarehouseFacts:
    """Everything about a warehouse that people set. With a ``base_daily_capacity`` of None its orders are unlimited."""

    name: str
    address: dict[str, str]
    coordinates: Coordinates
    status: WarehouseStatus
    priority: int
    base_daily_capacity: int | None
    shipping_cost_base_minor: int
    timezone: str
