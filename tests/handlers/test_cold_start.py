"""What a cold start pays for: a function imports what it uses at once, and nothing that it may never need."""

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
# Powertools imports the bare package `botocore` for a version number, which takes half a millisecond.
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


@pytest.mark.parametrize("function", ONLINE)
def test_a_cold_start_leaves_heavy_things_unimported(function: str) -> None:
    path = f"{ROOT / 'layers' / 'holdfast'}:{ROOT / 'functions' / function}"
    program = f"HEAVY = {HEAVY!r}\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    timing, imported = done.stdout.split("\n")[:2]
    print(f"{function}: imported in {timing} modules")
    assert imported == ""


def test_the_forbidden_would_be_noticed() -> None:
    path = f"{ROOT / 'layers' / 'holdfast'}:{ROOT / 'functions' / 'migrate'}"
    program = f"HEAVY = {HEAVY!r}\n{PROGRAM}"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert "alembic" in done.stdout
    assert "boto3" in done.stdout
