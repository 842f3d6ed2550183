"""Indexes: one for every foreign key, none redundant, none without a written reason."""

import re
from importlib.resources import files

from tests.database.acting import SCHEMAS, acting
from tests.database.conftest import TwoShops

WITHOUT_INDEX = {
    "payment_methods_gateway_account_fkey": "accounts are disabled, never deleted",
    "payments_gateway_account_fkey": "accounts are disabled, never deleted, and a shop has one at a gateway",
    "transfers_from_level_fkey": "levels are never deleted",
    "transfers_to_level_fkey": "levels are never deleted",
    "reservations_stock_level_fkey": "levels are never deleted, and the index of live holds covers those that matter",
}


def test_every_foreign_key_can_be_followed_backwards(shops: TwoShops) -> None:
    """Every key has a complete index that starts with the key's columns, in any order."""
    with acting(shops.superuser) as connection:
        rows = connection.run(
            """
            SELECT f.conname FROM pg_constraint f JOIN pg_class t ON t.oid = f.conrelid
             WHERE f.contype = 'f' AND f.connamespace::regnamespace::text = ANY (:schemas) AND NOT t.relispartition
               AND NOT EXISTS (
                   SELECT 1 FROM pg_index i
                    WHERE i.indrelid = f.conrelid
                      AND (i.indpred IS NULL OR EXISTS (
                               SELECT 1 FROM pg_attribute a WHERE a.attrelid = f.conrelid AND a.attnum = ANY (f.conkey)
                                  AND pg_get_expr(i.indpred, i.indrelid) = format('(%I IS NOT NULL)', a.attname)))
                      AND trim_array(string_to_array(i.indkey::text, ' ')::int2[],
                                     GREATEST(i.indnatts - cardinality(f.conkey), 0)) @> f.conkey)
             ORDER BY 1
            """,
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in rows} == set(WITHOUT_INDEX)


def test_no_index_is_another_ones_beginning(shops: TwoShops) -> None:
    with acting(shops.superuser) as connection:
        rows = connection.run(
            """
            SELECT a.indexrelid::regclass::text, b.indexrelid::regclass::text
              FROM pg_index a JOIN pg_index b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
              JOIN pg_class c ON c.oid = a.indexrelid JOIN pg_class d ON d.oid = b.indexrelid
             WHERE c.relnamespace::regnamespace::text = ANY (:schemas) AND NOT c.relispartition AND c.relam = d.relam
               AND NOT a.indisunique AND a.indexprs IS NULL
               AND (b.indpred IS NULL OR pg_get_expr(b.indpred, b.indrelid) = pg_get_expr(a.indpred, a.indrelid))
               AND b.indkey::text || ' ' LIKE a.indkey::text || ' %'
               AND (b.indkey <> a.indkey OR b.indexrelid > a.indexrelid)
               AND a.indoption::text = left(b.indoption::text, length(a.indoption::text))
            """,
            schemas=list(SCHEMAS),
        )
    assert rows == []


def test_every_index_has_its_reason_written_above_it() -> None:
    for entry in sorted(files("holdfast.database.migrations").joinpath("sql").iterdir(), key=lambda e: e.name):
        if not entry.name.endswith(".up.sql"):
            continue
        lines = entry.read_text().splitlines()
        for number, line in enumerate(lines):
            if not re.match(r"CREATE (UNIQUE )?INDEX ", line):
                continue
            above = lines[number - 1]
            assert above.startswith("-- "), f"{entry.name}: {line}"
            if "UNIQUE" not in line:
                block = number - 1
                while lines[block - 1].startswith("-- "):
                    block -= 1
                assert any("named query" in each.lower() for each in lines[block:number]), f"{entry.name}: {line}"


def test_indexes_of_tenant_tables_begin_with_the_organization_unless_a_job_looks_over_all(shops: TwoShops) -> None:
    over_all_tenants = {
        "api_calls_age",
        "geocode_cache_expired",
        "dead_letters_open",
        "dead_letters_resolved_at",
        "dead_letters_to_alert",
        "dead_letters_to_replay",
        "group_replays_due",
        "idempotency_keys_expired",
        "messages_age",
        "messages_due",
        "outbox_published_at",
        "outbox_unpublished",
        "payment_events_due",
        "payment_methods_to_forget",
        "payments_expiring_authorizations",
        "payments_to_check",
        "refunds_pending",
        "reviews_to_remind",
        "shipments_to_notify",
    }
    unique_over_all = {"gateway_accounts_endpoint_key_unique"}
    by_user = {"organization_members_of_user"}
    with acting(shops.superuser) as connection:
        rows = connection.run(
            """
            SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
              JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname = 'organization_id'
             WHERE c.relnamespace::regnamespace::text = ANY (:schemas) AND NOT c.relispartition
               AND i.indkey[0] <> a.attnum
            """,
            schemas=list(SCHEMAS),
        )
    assert {row[0] for row in rows} == over_all_tenants | unique_over_all | by_user
