"""Open a shop, or bring it in line with its file: the organization, its people, gateways, warehouses and goods.

What the file says is applied, what it does not name is left alone, and opening stock is received once per level. So the
same file may be applied again, even twice at once. This is an operation of the deployment. It runs as the owner of the
schema, which sees every tenant, and therefore names the organization in every statement.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from holdfast.database.transaction import Transaction, records
from holdfast.flows.shops import shop_rows
from holdfast.runtime import Runtime
from holdfast.values.errors import Conflict, InvalidInput
from holdfast.values.ids import uuid7

_ACTOR: Final = "deployment:open_shop"
Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class ShopFile:
    """The content of a shop's file, already validated on its own. Each row has the columns that its statement reads."""

    name: str
    slug: str
    settings: Mapping[str, Any]
    publishable_key: str | None = None
    staff: Rows = ()
    gateways: Rows = ()
    warehouses: Rows = ()
    products: Rows = ()
    variants: Rows = ()
    stock: Rows = ()


def open_shop(runtime: Runtime, file: ShopFile, now: datetime) -> dict[str, Any]:
    """Bring the shop in line with its file, completely or not at all.

    Return its id, its publishable key, and for each kind of row how many were made, changed and left unchanged. Raises
    InvalidInput for what only the database can check (a time zone, a SKU). Raises Conflict for a second owner, and for
    a publishable key or an endpoint key that belongs to another shop.
    """
    return runtime.database.transact(None, lambda transaction: _open(transaction, file), now=now, actor=_ACTOR)


def _open(transaction: Transaction, file: ShopFile) -> dict[str, Any]:
    transaction.execute("SELECT pg_advisory_xact_lock(hashtextextended('open_shop', 0))")
    _check_timezones(transaction, file)
    organization, told = _organization(transaction, file)
    _check_owner(transaction, organization["id"], file.staff)
    _check_keys(transaction, organization["id"], file.gateways)
    rows: dict[str, Any] = {"organization": told}
    for kind in ("staff", "gateways", "warehouses", "products", "variants"):
        said: Rows = getattr(file, kind)
        rows[kind] = _bring(transaction, organization["id"], shop_rows.STATEMENTS[kind], said)
    rows["stock"] = _receive(transaction, organization["id"], file.stock)
    return {
        "organization_id": str(organization["id"]),
        "publishable_key": organization["publishable_key"],
        "rows": rows,
    }


def _organization(transaction: Transaction, file: ShopFile) -> tuple[Mapping[str, Any], dict[str, int]]:
    """Create the organization of the slug, or give it the name and the settings of the file. Return it.

    Raises Conflict if the publishable key belongs to another shop.
    """
    taken = transaction.value(
        "SELECT slug FROM tenancy.organizations WHERE publishable_key = :key AND slug <> :slug",
        key=file.publishable_key,
        slug=file.slug,
    )
    if taken is not None:
        raise Conflict("this publishable key is another shop's")
    written = transaction.rows(
        shop_rows.ORGANIZATION,
        id=uuid7(transaction.now),
        name=file.name,
        slug=file.slug,
        key=file.publishable_key,
        new_key=file.publishable_key or f"pk_{secrets.token_hex(16)}",
        settings=json.dumps(dict(file.settings)),
        now=transaction.now,
    )
    found = transaction.row(
        "SELECT id, publishable_key FROM tenancy.organizations WHERE slug = :slug AND deleted_at IS NULL",
        slug=file.slug,
    )
    if found is None:
        raise RuntimeError("the organization was written and is not there")
    return records([found])[0], _told(1, [row.made for row in written])


def _bring(transaction: Transaction, organization_id: UUID, statement: str, said: Rows) -> dict[str, int]:
    """Create the rows of one kind that are missing and change those that differ, in one statement."""
    if not said:
        return _told(0, [])
    rows = [{"id": str(uuid7(transaction.now)), **row} for row in said]
    written = transaction.rows(statement, organization_id=organization_id, rows=json.dumps(rows), now=transaction.now)
    return _told(len(said), [row.made for row in written])


def _told(said: int, made: Sequence[bool]) -> dict[str, int]:
    return {"made": sum(made), "changed": len(made) - sum(made), "unchanged": said - len(made)}


def _receive(transaction: Transaction, organization_id: UUID, said: Rows) -> dict[str, int]:
    """Create missing levels, and receive their opening stock through the ledger. Existing levels are left alone."""
    if not said:
        return {"levels_made": 0, "pieces_received": 0, "levels_left_alone": 0}
    rows = json.dumps([dict(row) for row in said])
    unknown = transaction.rows(shop_rows.UNKNOWN_STOCK, organization_id=organization_id, rows=rows)
    if unknown:
        raise InvalidInput(
            "stock is said of what the shop does not have",
            errors=[{"field": f"stock.{row.place}", "message": f"there is no {row.missing}"} for row in unknown],
        )
    made = transaction.rows(shop_rows.NEW_LEVELS, organization_id=organization_id, rows=rows, now=transaction.now)
    filled = [row for row in made if row.quantity]
    if filled:
        transaction.execute(
            """
            SELECT inventory.move_stock(:organization_id, :now, 'receive', CAST(:warehouses AS uuid[]),
                                        CAST(:variants AS uuid[]), CAST(:quantities AS integer[]), 'shop_file', NULL,
                                        'opening stock', :actor)
            """,
            organization_id=organization_id,
            now=transaction.now,
            warehouses=[str(row.warehouse_id) for row in filled],
            variants=[str(row.variant_id) for row in filled],
            quantities=[row.quantity for row in filled],
            actor=_ACTOR,
        )
    return {
        "levels_made": len(made),
        "pieces_received": sum(row.quantity for row in filled),
        "levels_left_alone": len(said) - len(made),
    }


def _check_timezones(transaction: Transaction, file: ShopFile) -> None:
    """Raise InvalidInput for time zones that PostgreSQL does not know.

    Every checkout asks PostgreSQL for the date in these time zones, so an unknown name would stop them all.
    """
    named = {"shop.timezone": file.settings["timezone"]} | {
        f"warehouses.{place}.timezone": row["timezone"] for place, row in enumerate(file.warehouses)
    }
    known = {
        row.name
        for row in transaction.rows(
            "SELECT name FROM pg_timezone_names WHERE name = ANY(CAST(:names AS text[]))", names=sorted(named.values())
        )
    }
    unknown = [{"field": field, "message": "is not known"} for field, name in named.items() if name not in known]
    if unknown:
        raise InvalidInput("a timezone is not known", errors=unknown)


def _check_owner(transaction: Transaction, organization_id: UUID, staff: Rows) -> None:
    """Raise Conflict if the file would give the shop a second owner.

    A shop has one owner. If the file names a new one, it must name the former one with another role, or as removed.
    """
    new_owner = next((row["subject"] for row in staff if row["role"] == "owner" and row["status"] == "active"), None)
    named = [row["subject"] for row in staff]
    before = transaction.value(shop_rows.OWNER_NOT_NAMED, organization_id=organization_id, named=named)
    if new_owner is not None and before is not None:
        raise Conflict(f"{before} is the owner: name them with another role as well, or as removed")


def _check_keys(transaction: Transaction, organization_id: UUID, gateways: Rows) -> None:
    taken = transaction.rows(
        shop_rows.TAKEN_ENDPOINT_KEYS,
        organization_id=organization_id,
        keys=[row["endpoint_key"] for row in gateways],
        gateways=[row["gateway"] for row in gateways],
    )
    if taken:
        raise Conflict("an endpoint key is another account's: " + ", ".join(row.endpoint_key for row in taken))
