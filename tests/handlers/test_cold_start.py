"""What a cold start costs: a function imports what it uses at once, and nothing that it may never need."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = [
    "boto3",
    "botocore.session",
    "botocore.client",
    "alembic",
    "pyarrow",
    "local",
    "cryptography",
    "jinja2",
    "holidays",
    "holdfast.web.views",
]
# HEAVY lists modules of `botocore` and not the bare package, which Powertools imports for its version number. That
# takes half a millisecond.
PROGRAM = """
import sys, time
begin = time.perf_counter()
import app
took = time.perf_counter() - begin
print(f"{took * 1000:.0f} ms", len(sys.modules))
print(*sorted(name for name in HEAVY if name in sys.modules))
"""
ONLINE = [
    "address_review_queue",
    "address_reviews",
    "checkout",
    "orders",
    "guest_sessions",
    "payment_webhooks",
    "payment_events",
    "api_docs",
    "mail_feedback",
    "mails",
    "notifications",
    "order_timeline",
    "process_failures",
    "allocation",
    "dead_letters",
    "error_classes",
    "payment_methods",
    "money",
    "refunds",
    "capacity",
    "capacity_reports",
    "stock",
    "stock_imports",
    "stock_reports",
    "transfers",
    "warehouses",
]


SETTLING = [
    "holdfast.flows.checkout.planning",
    "holdfast.flows.money.settlement",
    "holdfast.gateways.registry",
    "urllib3",
]
"""The large half of the package: what an order costs, where it ships from, and what becomes of its money."""
SETTLES_NOTHING = [
    "api_docs",
    "capacity",
    "capacity_reports",
    "guest_sessions",
    "mail_feedback",
    "mails",
    "notifications",
    "order_timeline",
    "outbox_relay",
    "payment_methods",
    "payment_webhooks",
    "process_failures",
    "stock",
    "stock_imports",
    "stock_reports",
    "transfers",
    "warehouses",
]


def _imported(function: str, forbidden: list[str]) -> str:
    path = f"{ROOT / 'layers' / 'holdfast'}:{ROOT / 'functions' / function}"
    done = subprocess.run(
        [sys.executable, "-c", f"HEAVY = {forbidden!r}\n{PROGRAM}"],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    timing, imported = done.stdout.split("\n")[:2]
    print(f"{function}: imported in {timing} modules")
    return imported


@pytest.mark.parametrize("function", ONLINE)
def test_a_cold_start_leaves_heavy_things_unimported(function: str) -> None:
    assert _imported(function, HEAVY) == ""


@pytest.mark.parametrize("function", SETTLES_NOTHING)
def test_who_settles_nothing_loads_nothing_that_settles(function: str) -> None:
    assert _imported(function, SETTLING) == ""


def test_the_forbidden_would_be_noticed() -> None:
    assert {"alembic", "boto3"} <= set(_imported("migrate", HEAVY).split())
    assert _imported("checkout", SETTLING).split() == SETTLING
