"""What a warehouse is to the shop: where it is, whether it serves orders, how many a day."""

from dataclasses import dataclass
from enum import StrEnum

from holdfast.values.coordinates import Coordinates


class WarehouseStatus(StrEnum):
    """Only an active warehouse is given orders; stock can be moved in and out of any."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    MAINTENANCE = "maintenance"


@dataclass(frozen=True, slots=True)
class WarehouseFacts:
    """Everything about a warehouse that people decide. ``base_daily_capacity`` None: it takes any number of orders."""

    name: str
    address: dict[str, str]
    coordinates: Coordinates
    status: WarehouseStatus
    priority: int
    base_daily_capacity: int | None
    shipping_cost_base_minor: int
    timezone: str
