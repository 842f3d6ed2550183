"""`python -m local refold` on a database: its exit status says whether every payment is the fold of its events."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import House
from tests.premises import ROLE_PASSWORD

ROOT = Path(__file__).resolve().parents[2]


def refold(house: House, *arguments: str, user: str = "holdfast_system") -> subprocess.CompletedProcess[str]:
    owner = house.owner
    dsn = f"postgresql://{user}:{ROLE_PASSWORD}@{owner.host}:{owner.port}/{owner.database}"
    return subprocess.run(
        [sys.executable, "-m", "local", "refold", "--no-tls", "--dsn", dsn, *arguments],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": f"{ROOT / 'layers' / 'holdfast'}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(autouse=True)
def _sold(house: House) -> None:
    house.add_variant(stock=10)
    house.place()


def test_nothing_differs(house: House) -> None:
    done = refold(house)
    assert (done.returncode, done.stdout) == (0, "1 payments recomputed, 0 differences, nothing written\n"), done.stderr


def test_a_difference_is_shown_and_is_an_exit_status(house: House) -> None:
    house.forge("UPDATE payments.payments SET captured_amount = captured_amount - 1")
    done = refold(house)
    assert done.returncode == 1
    assert "captured_amount" in done.stdout.splitlines()[0]
    assert refold(house, "--since", "2999-01-01").returncode == 0
    assert refold(house, "--organization", str(house.organization_id)).returncode == 1


def test_a_database_that_cannot_be_reached_is_no_clean_answer(house: House) -> None:
    assert refold(house, user="nobody").returncode == 2
