"""The link of an order's open review: created for a mail, and read when a shopper follows it."""

from datetime import datetime
from uuid import UUID

from holdfast.addresses.model import AddressReviewStep
from holdfast.addresses.review_link import LinkInvalid, ReviewLink, keys_of, make_token, page_url, read_token
from holdfast.database.transaction import Transaction
from holdfast.runtime import Runtime
from holdfast.values.errors import Transient


def review_url(runtime: Runtime, transaction: Transaction, order_id: UUID) -> str | None:
    """Return the URL at which the shopper of an order can check its address until the deadline.

    The URL is a secret and must not be logged. Return ``None`` when the order is not (or no longer) under review, or
    when neither the shop nor the deployment has a page for it. Raises Transient when the key cannot be read.
    """
    review = transaction.row(
        """
        SELECT r.id, r.nonce, r.deadline_at, g.settings
          FROM addresses.reviews r JOIN tenancy.organizations g ON g.id = r.organization_id
         WHERE r.organization_id = :organization_id AND r.order_id = :order_id AND r.resolved_at IS NULL
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
    )
    if review is None:
        return None
    key = _keys(runtime)[0]
    token = make_token(review.id, transaction.tenant, review.nonce, review.deadline_at, key)
    return page_url(review.settings, runtime.settings.address_review_page_url, token)


def note_contact(transaction: Transaction, order_id: UUID) -> None:
    """Record once, in the transaction that sends the mail, that the shopper was contacted about the open review."""
    review_id = transaction.value(
        """
        UPDATE addresses.reviews SET status = 'customer_contacted', notified_at = :now
         WHERE organization_id = :organization_id AND order_id = :order_id AND status = 'pending'
        RETURNING id
        """,
        organization_id=transaction.tenant,
        order_id=order_id,
        now=transaction.now,
    )
    if review_id is not None:
        transaction.value(
            "SELECT addresses.take_review_step(:organization_id, :id, :step, NULL, NULL, :now, :actor)",
            organization_id=transaction.tenant,
            id=review_id,
            step=str(AddressReviewStep.CUSTOMER_CONTACTED),
            now=transaction.now,
            actor=transaction.actor,
        )


def read_link(runtime: Runtime, token: str, now: datetime) -> ReviewLink:
    """Return the content of a link. Raises LinkInvalid or LinkExpired, or Transient when the keys cannot be read."""
    try:
        return read_token(token, _keys(runtime), now)
    except LinkInvalid:
        # The keys may have been rotated a moment ago while this process still has the old ones.
        return read_token(token, _keys(runtime, fresh=True), now)


def _keys(runtime: Runtime, *, fresh: bool = False) -> list[bytes]:
    secret = runtime.secrets.read(runtime.settings.address_review_link_secret, fresh=fresh)
    try:
        return keys_of(secret)
    except ValueError as error:
        raise Transient(f"the secret of address review links: {error}") from error
