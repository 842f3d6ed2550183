"""Start a guest's session: exchange the shop's publishable key for a short-lived token of the guest's own."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from holdfast.identity.port import GuestToken
from holdfast.runtime import Runtime
from holdfast.values.errors import Unauthenticated
from holdfast.values.ids import uuid7


@dataclass(frozen=True, slots=True)
class GuestSession:
    """A token and the customer id it stands for. The customer is written with the first order, not before."""

    customer_id: UUID
    token: GuestToken


def start_guest_session(runtime: Runtime, publishable_key: str, now: datetime) -> GuestSession:
    """Issue a token for a new guest.

    Raises Unauthenticated for a key that no active shop has, and Transient when the issuer does not answer.
    """
    with runtime.database.transaction(None, now=now, actor="guest") as transaction:
        organization_id: UUID | None = transaction.value(
            "SELECT tenancy.organization_of_publishable_key(:key)", key=publishable_key
        )
    if organization_id is None:
        raise Unauthenticated("no shop has this publishable key")
    guest_id = uuid7(now)
    token = runtime.guest_tokens.issue(organization_id=organization_id, guest_id=guest_id)
    return GuestSession(guest_id, token)
