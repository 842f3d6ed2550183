"""The API's responses about an order whose shipping address is changed, as models (see ``web.views``)."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel

from holdfast.inventory.reallocation import Cause, Outcome


class AddressChange(BaseModel):
    """That an order got another shipping address. ``changed_by`` is a kind of actor, not a name."""

    version: int
    cause: Literal["address_change", "address_review"]
    changed_by: str
    at: datetime


class ReallocationStep(BaseModel):
    """A decision about where an order ships from, after the one at its checkout: applied, or honoured as it was."""

    sequence: int
    cause: Cause
    outcome: Outcome
    reason: str
    at: datetime


class Reallocation(BaseModel):
    """Whether the goods moved, and why. Costs are what the parcels cost the shop; ``null`` where nothing is set aside
    for the order, or nothing else could serve it. Not applied: ``to_warehouses`` is where they would have gone."""

    applied: bool
    reason: str
    old_cost_minor: int | None
    new_cost_minor: int | None
    saving_minor: int | None
    saving_percent: float | None
    from_warehouses: list[str]
    to_warehouses: list[str]


class PriceChange(BaseModel):
    """What the order cost (``agreed_minor``), what the rules ask for the new destination (``asked_minor``), and what it
    costs: the lower of both. ``settled_by`` says what becomes of the difference."""

    currency: str
    agreed_minor: int
    asked_minor: int
    total_minor: int
    difference_minor: int
    settled_by: Literal["nothing", "charging_less", "capturing_less", "refund_once_paid", "refund"]
