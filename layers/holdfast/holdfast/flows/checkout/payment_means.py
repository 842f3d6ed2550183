"""What a shopper pays with: a gateway's token, which may be saved as a method, or a method saved earlier."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from holdfast.database.transaction import Transaction
from holdfast.flows.orders.locked_order import MONEY_STATUSES, LockedPayment
from holdfast.payments.model import PaymentStatus
from holdfast.values.caller import Caller, CallerKind
from holdfast.values.errors import InvalidInput
from holdfast.values.ids import uuid7


@dataclass(frozen=True, slots=True)
class PaymentMeans:
    """Either a gateway and its token, or the id of a saved method, which itself determines the gateway."""

    gateway: str | None = None
    token: str | None = None
    save_method: bool = False
    payment_method_id: UUID | None = None

    def check_caller(self, caller: Caller) -> None:
        """Raise InvalidInput unless the caller may use these means.

        Only registered customers may save a method, or pay with a saved one.
        """
        if caller.kind is CallerKind.CUSTOMER:
            return
        if self.save_method:
            raise _invalid("save", "only registered customers keep a payment method")
        if self.payment_method_id is not None:
            raise _unknown()


@dataclass(frozen=True, slots=True)
class Chosen:
    """The means with everything that an attempt needs to know about them."""

    gateway: str
    gateway_account_id: UUID
    secret_reference: str
    merchant_account: str | None
    token: str
    gateway_customer_id: str | None
    save_method: bool
    settings: Mapping[str, Any]
    """The organization's settings."""


def chosen_of(
    means: PaymentMeans,
    account: Mapping[str, Any] | None,
    kept: Mapping[str, Any] | None,
    settings: Mapping[str, Any],
) -> Chosen:
    """Combine the means with what ``checkout.facts`` knows about them. Raises InvalidInput."""
    if means.payment_method_id is not None and kept is None:
        raise _unknown()
    if account is None:
        if kept is not None:
            raise _invalid("payment_method_id", "the shop does not take it any more")
        raise _invalid("gateway", "not offered by this shop", f"this shop does not take {means.gateway}")
    return Chosen(
        gateway=account["gateway"],
        gateway_account_id=UUID(str(account["id"])),
        secret_reference=account["secret_reference"],
        merchant_account=account["merchant_account"],
        token=kept["token"] if kept else str(means.token),
        gateway_customer_id=kept["gateway_customer_id"] if kept else account["customer_id"],
        save_method=means.save_method,
        settings=settings,
    )


def choose(transaction: Transaction, customer_id: UUID, means: PaymentMeans) -> Chosen:
    """Resolve the means for an existing order of this customer. Raises InvalidInput."""
    kept = transaction.row(
        """
        SELECT gateway_account_id, gateway, token, gateway_customer_id FROM tenancy.payment_methods
         WHERE organization_id = :organization_id AND customer_id = :customer_id AND id = :id AND deleted_at IS NULL
        """,
        organization_id=transaction.tenant,
        customer_id=customer_id,
        id=means.payment_method_id,
    )
    account = transaction.row(
        """
        SELECT a.id, a.gateway, a.secret_reference, a.merchant_account, o.settings,
               CASE WHEN :save_method THEN (
                   SELECT m.gateway_customer_id FROM tenancy.payment_methods m
                    WHERE m.organization_id = :organization_id AND m.customer_id = :customer_id
                      AND m.gateway_account_id = a.id
                    ORDER BY m.id DESC LIMIT 1) END AS customer_id
          FROM tenancy.gateway_accounts a JOIN tenancy.organizations o ON o.id = a.organization_id
         WHERE a.organization_id = :organization_id AND a.gateway = :gateway AND a.status = 'active'
           AND (CAST(:account_id AS uuid) IS NULL OR a.id = :account_id)
         ORDER BY a.id LIMIT 1
        """,
        organization_id=transaction.tenant,
        customer_id=customer_id,
        save_method=means.save_method,
        gateway=kept.gateway if kept else means.gateway,
        account_id=kept.gateway_account_id if kept else None,
    )
    settings = account.settings if account else {}
    return chosen_of(means, account and account._asdict(), kept and kept._asdict(), settings)


def kept_method(
    payment: LockedPayment, status: PaymentStatus, saved: Mapping[str, Any] | None, now: datetime
) -> Mapping[str, Any] | None:
    """Return the method to save, or ``None``.

    A method is saved only if its payment brought money and the shopper consented to it with this very payment.
    """
    if saved is None or not payment.save_method or status not in MONEY_STATUSES:
        return None
    return {**saved, "id": str(uuid7(now))}


def _unknown() -> InvalidInput:
    return _invalid("payment_method_id", "no such payment method is kept for you")


def _invalid(field: str, message: str, detail: str | None = None) -> InvalidInput:
    return InvalidInput(detail or message, errors=[{"field": f"payment.{field}", "message": message}])
