"""The request bodies of an allocation simulation: which orders, and what differs. What is left out stays as it was."""

from typing import Annotated, Self
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, AwareDatetime, Field, StrictBool, StringConstraints, model_validator

from holdfast.flows.allocation.simulate_allocation import ORDERS_MAX, SimulateAllocation
from holdfast.inventory.allocation import ORDER_WAREHOUSES_MAX
from holdfast.inventory.scoring import ScoreScale, Weights
from holdfast.inventory.simulation import AS_RECORDED, AdditionalWarehouse, WarehouseChange, WhatIf
from holdfast.values.caller import Caller
from holdfast.values.coordinates import Coordinates
from holdfast.values.shipping import ShippingPreference
from holdfast.web.fields import Body
from holdfast.web.stock_models import PIECES_MAX, Timezone

CHANGES_MAX = 50
ADDITIONS_MAX = 10

Share = Annotated[float, Field(ge=0, le=1)]
Code = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9][A-Z0-9-]{0,31}$")]
Latitude = Annotated[float, Field(ge=-90, le=90)]
Longitude = Annotated[float, Field(ge=-180, le=180)]
Priority = Annotated[int, Field(ge=0, le=10_000, strict=True)]
DailyCapacity = Annotated[int, Field(ge=0, le=PIECES_MAX, strict=True)]
ShippingCost = Annotated[int, Field(ge=0, le=10**12, strict=True)]


def _known(timezone: str) -> str:
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as unknown:
        raise ValueError("there is no such time zone") from unknown
    return timezone


class WeightsBody(Body):
    """How much cost and distance count; together 1."""

    cost: Share
    speed: Share

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.cost + self.speed - 1) > 1e-9:
            raise ValueError("cost and speed add up to 1")
        return self


class WeightsByPreferenceBody(Body):
    """Other weights for some shipping preferences."""

    economy: WeightsBody | None = None
    standard: WeightsBody | None = None
    expedited: WeightsBody | None = None

    def to_weights(self) -> dict[ShippingPreference, Weights]:
        """Return this body as the domain's value."""
        chosen = {preference: getattr(self, preference.value) for preference in ShippingPreference}
        return {preference: Weights(each.cost, each.speed) for preference, each in chosen.items() if each}


class ScaleBody(Body):
    """The shipping cost and the distance that count for one point each."""

    cost_minor: Annotated[int, Field(ge=1, le=10**12, strict=True)] = 1_000
    distance_km: Annotated[float, Field(ge=1, le=40_000)] = 1_000.0


class WarehouseChangeBody(Body):
    """A warehouse as it might have been. ``daily_capacity`` null: it takes any number of orders; given, it is that of
    every day, whatever overrides say."""

    code: Code
    active: StrictBool = True
    shipping_cost_base_minor: ShippingCost | None = None
    daily_capacity: DailyCapacity | None = None
    priority: Priority | None = None
    latitude: Latitude | None = None
    longitude: Longitude | None = None

    @model_validator(mode="after")
    def _whole_place(self) -> Self:
        if (self.latitude is None) != (self.longitude is None):
            raise ValueError("give both latitude and longitude, or neither")
        return self

    def to_change(self) -> WarehouseChange:
        """Return this body as the domain's value."""
        return WarehouseChange(
            is_active=self.active,
            shipping_cost_base_minor=self.shipping_cost_base_minor,
            priority=self.priority,
            location=self._place(),
            daily_capacity=self.daily_capacity if "daily_capacity" in self.model_fields_set else AS_RECORDED,
        )

    def _place(self) -> Coordinates | None:
        return None if self.latitude is None or self.longitude is None else Coordinates(self.latitude, self.longitude)


class AdditionalWarehouseBody(Body):
    """A warehouse that was never there. ``stock_factor``: it has so many times what all warehouses together had of a
    variant when it was first wanted; null: it never runs out."""

    code: Code
    latitude: Latitude
    longitude: Longitude
    shipping_cost_base_minor: ShippingCost
    daily_capacity: DailyCapacity | None = None
    priority: Priority = 100
    timezone: Annotated[Timezone, AfterValidator(_known)] = "UTC"
    stock_factor: Annotated[float, Field(ge=0, le=100)] | None = None

    def to_warehouse(self, number: int) -> AdditionalWarehouse:
        """Return this body as the domain's value, with an id that no existing warehouse has."""
        members = self.model_dump(exclude={"latitude", "longitude"})
        return AdditionalWarehouse(id=UUID(int=number), location=Coordinates(self.latitude, self.longitude), **members)


class SimulationBody(Body):
    """Orders placed from ``starts_at`` on and before ``ends_at``, at most 31 days, decided again."""

    starts_at: AwareDatetime
    ends_at: AwareDatetime
    orders_max: Annotated[int, Field(ge=1, le=ORDERS_MAX, strict=True)] = ORDERS_MAX
    weights: WeightsByPreferenceBody | None = None
    scale: ScaleBody | None = None
    single_tolerance: Annotated[float, Field(ge=1, le=10)] | None = None
    split_overhead: Annotated[float, Field(ge=1, le=10)] | None = None
    max_warehouses: Annotated[int, Field(ge=1, le=ORDER_WAREHOUSES_MAX, strict=True)] | None = None
    warehouses: Annotated[tuple[WarehouseChangeBody, ...], Field(max_length=CHANGES_MAX)] = ()
    additional_warehouses: Annotated[tuple[AdditionalWarehouseBody, ...], Field(max_length=ADDITIONS_MAX)] = ()

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        codes = [*(each.code for each in self.warehouses), *(each.code for each in self.additional_warehouses)]
        if len(set(codes)) < len(codes):
            raise ValueError("a warehouse is named twice")
        return self

    def to_command(self, caller: Caller) -> SimulateAllocation:
        """Return this body as the flow's value."""
        what_if = WhatIf(
            weights=self.weights.to_weights() if self.weights else {},
            scale=ScoreScale(self.scale.cost_minor, self.scale.distance_km) if self.scale else None,
            single_tolerance=self.single_tolerance,
            split_overhead=self.split_overhead,
            max_warehouses=self.max_warehouses,
            changes={each.code: each.to_change() for each in self.warehouses},
            additional=tuple(each.to_warehouse(n) for n, each in enumerate(self.additional_warehouses, start=1)),
        )
        return SimulateAllocation(caller, self.starts_at, self.ends_at, self.orders_max, what_if)
