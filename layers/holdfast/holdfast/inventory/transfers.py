"""The life of a transfer: requested, under way, received bit by bit, or cancelled. Pure: the caller moves the stock.

    pending -> in_transit -> completed
        \\           \\
         cancelled    cancelled (what had not arrived returns to the source)
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from uuid import UUID

from holdfast.inventory.stock import LevelKey
from holdfast.values.errors import Conflict


class TransferStatus(StrEnum):
    """The status of a transfer."""

    PENDING = "pending"
    IN_TRANSIT = "in_transit"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Transfer:
    """A transfer of pieces of one variant between two warehouses, and what became of them."""

    id: UUID
    variant_id: UUID
    from_warehouse_id: UUID
    to_warehouse_id: UUID
    quantity: int
    status: TransferStatus = TransferStatus.PENDING
    received: int = 0
    written_off: int = 0
    returned: int = 0

    @property
    def source(self) -> LevelKey:
        """The level that the pieces leave."""
        return self.from_warehouse_id, self.variant_id

    @property
    def destination(self) -> LevelKey:
        """The level that the pieces go to."""
        return self.to_warehouse_id, self.variant_id

    @property
    def in_transit(self) -> int:
        """The pieces that have left the source and are not accounted for yet."""
        if self.status is not TransferStatus.IN_TRANSIT:
            return 0
        return self.quantity - self.received - self.written_off


def ship(transfer: Transfer) -> Transfer:
    """Let all pieces leave the source. Raises Conflict unless the transfer is pending."""
    if transfer.status is not TransferStatus.PENDING:
        raise Conflict(f"the transfer is {transfer.status}: only a pending one is shipped", status_now=transfer.status)
    return replace(transfer, status=TransferStatus.IN_TRANSIT)


def arrive(transfer: Transfer, received: int, written_off: int) -> Transfer:
    """Let some pieces reach the destination and write others off. Once none is in transit, the transfer is completed.

    Raises Conflict unless the transfer is in transit with at least that many pieces.
    """
    if transfer.status is not TransferStatus.IN_TRANSIT:
        raise Conflict(f"the transfer is {transfer.status}: only one in transit arrives", status_now=transfer.status)
    if received + written_off > transfer.in_transit:
        raise Conflict(f"only {transfer.in_transit} are in transit", in_transit=transfer.in_transit)
    after = replace(transfer, received=transfer.received + received, written_off=transfer.written_off + written_off)
    return after if after.in_transit else replace(after, status=TransferStatus.COMPLETED)


def call_off(transfer: Transfer) -> Transfer:
    """Cancel the transfer: what is in transit returns to the source. Raises Conflict if it is over already."""
    if transfer.status not in (TransferStatus.PENDING, TransferStatus.IN_TRANSIT):
        raise Conflict(f"the transfer is {transfer.status} already", status_now=transfer.status)
    return replace(transfer, status=TransferStatus.CANCELLED, returned=transfer.in_transit)
