"""How fast the shopper wants the goods, and what has become of a parcel."""

from enum import StrEnum


class ShippingPreference(StrEnum):
    """What the shopper chose at checkout: it weighs cost against distance and selects the shipping rate."""

    ECONOMY = "economy"
    STANDARD = "standard"
    EXPEDITED = "expedited"


class ShipmentStatus(StrEnum):
    """The life of one parcel from one warehouse."""

    PENDING = "pending"
    PICKED = "picked"
    PACKED = "packed"
    SHIPPED = "shipped"
    IN_TRANSIT = "in_transit"
    DELIVERED = "delivered"
    FAILED = "failed"
    CANCELLED = "cancelled"
