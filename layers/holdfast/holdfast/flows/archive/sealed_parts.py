"""The personal parts of orders, sealed with their customers' keys: to archive a copy, or to check one."""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

from holdfast.archive.sealing import Keyring
from holdfast.database.transaction import Transaction

ERASED: Final = ""
"""Takes the place of the sealed part of a customer whose key was destroyed."""

# For a thousand orders, rows would cost the driver more than their content, so they come as one text with a line per
# order. No line contains a line break, because JSON text escapes it with a backslash.
_PERSONAL: Final = """
    SELECT string_agg(
               p.order_id || ' ' || o.customer_id || ' ' || COALESCE(
                   encode(k.wrapped_key, 'hex'), CASE WHEN k.customer_id IS NULL THEN 'none' ELSE 'destroyed' END)
               || ' ' || p.personal, chr(10))
      FROM archive.personal_texts(:organization_id, CAST(:order_ids AS uuid[])) p
      JOIN orders.orders o ON o.organization_id = :organization_id AND o.id = p.order_id
      LEFT JOIN archive.customer_keys k ON k.organization_id = :organization_id AND k.customer_id = o.customer_id
"""


def seal_parts(transaction: Transaction, keyring: Keyring, order_ids: Sequence[str]) -> list[str | None]:
    """Return the sealed part of each order, in the order of the ids; ``None`` for one not in the active tables.

    A customer who has no key yet gets one.
    """
    tenant = transaction.tenant
    text = transaction.value(_PERSONAL, organization_id=tenant, order_ids=as_array(order_ids))
    made: dict[UUID, bytes] = {}
    sealed: dict[str, str] = {}
    for line in text.split("\n") if text else ():
        order_id, customer, known_key, personal = line.split(" ", 3)
        if known_key == "destroyed":
            sealed[order_id] = ERASED
            continue
        customer_id = UUID(customer)
        if known_key != "none":
            key = bytes.fromhex(known_key)
        elif customer_id in made:
            key = made[customer_id]
        else:
            key = made[customer_id] = keyring.new_key(tenant, customer_id)
        sealed[order_id] = keyring.seal(personal, tenant, customer_id, UUID(order_id), key)
    if made:
        _keep(transaction, made)
    return [sealed.get(order_id) for order_id in order_ids]


def _keep(transaction: Transaction, made: dict[UUID, bytes]) -> None:
    """Store new keys.

    If another transaction has stored a key for the same customer in the meantime, that key stands. In a transaction
    with one snapshot, the conflict raises SerializationFailure.
    """
    transaction.execute(
        """
        INSERT INTO archive.customer_keys (organization_id, customer_id, wrapped_key, created_at)
        SELECT :organization_id, k.customer_id, k.wrapped_key, :now
          FROM unnest(CAST(:customers AS uuid[]), CAST(:keys AS bytea[])) AS k (customer_id, wrapped_key)
        ON CONFLICT DO NOTHING
        """,
        organization_id=transaction.tenant,
        customers=list(made),
        keys=list(made.values()),
        now=transaction.now,
    )


def as_array(order_ids: Iterable[UUID | str]) -> str:
    """Return ids as the text of an array. Joining them is cheaper than the driver, which looks at each character.

    In SQL: ``CAST(:order_ids AS uuid[])``.
    """
    return "{" + ",".join(map(str, order_ids)) + "}"


def as_parameter(sealed: Sequence[str | None]) -> str:
    """Return sealed parts as the text of an array. Base64 needs no quoting, and no part reads "NULL".

    In SQL: ``CAST(:sealed AS text[])``.
    """
    return "{" + ",".join("NULL" if part is None else part or '""' for part in sealed) + "}"


def open_part(transaction: Transaction, keyring: Keyring, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the personal part of a document, or ``None`` if its customer was erased. Raises BrokenSeal."""

    order_id, customer_id = UUID(document["order"]["id"]), UUID(document["order"]["customer_id"])
    wrapped_key = transaction.value(
        "SELECT wrapped_key FROM archive.customer_keys WHERE organization_id = :o AND customer_id = :customer_id",
        o=transaction.tenant,
        customer_id=customer_id,
    )
    if wrapped_key is None or document["personal"] == ERASED:
        return None
    text = keyring.unseal(document["personal"], transaction.tenant, customer_id, order_id, wrapped_key)
    personal: dict[str, Any] = json.loads(text)
    return personal
