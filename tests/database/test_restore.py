"""The rehearsal of a restore: a base backup and the write-ahead log restore exactly what was there at an instant.

This does with PostgreSQL's own means what Aurora does with `restore-db-cluster-to-point-in-time`. Run it with
`make rehearse-restore`.
"""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import create_engine

from holdfast.database.migrations.run import upgrade
from holdfast.flows.stock.check_ledger import check_ledger
from holdfast.secrets.store import SecretStore
from local.archive import verify_with
from local.postgres import Server, running
from local.postgres_cluster import find_binaries
from local.testing import _memory
from tests.archive.scenes import archive, archive_environment, delivered, old_at_once, plenty
from tests.house import House
from tests.premises import ROLE_PASSWORD, make_partitions_around_now, url_of

ARCHIVED_MAX_SECONDS: Final = 20.0


@pytest.fixture
def folder() -> Iterator[Path]:
    """Yield a folder for both clusters and the log between them."""
    made = Path(tempfile.mkdtemp(prefix="holdfast-restore-", dir=_memory()))
    yield made
    shutil.rmtree(made, ignore_errors=True)


def base_backup(server: Server, into: Path) -> None:
    """Copy the running cluster while it writes."""
    admin = server.admin
    command = [str(find_binaries() / "pg_basebackup"), "-D", str(into), "-h", admin.host, "-p", str(admin.port)]
    command += ["-U", admin.user, "--wal-method=none", "--checkpoint=fast", "--no-sync"]
    subprocess.run(command, env={"PGPASSWORD": admin.password or ""}, check=True, capture_output=True, timeout=60)


def await_archived(server: Server) -> None:
    """Wait until the WAL segment that is being written has been archived."""
    [[segment]] = server.admin.execute("SELECT pg_walfile_name(pg_switch_wal())")
    deadline = time.monotonic() + ARCHIVED_MAX_SECONDS
    while server.admin.execute("SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver")[0][0] < segment:
        assert time.monotonic() < deadline, f"{segment} was not archived"
        time.sleep(0.05)


def orders(house: House) -> set[str]:
    return {str(row["id"]) for row in house.rows("SELECT id FROM orders.orders")}


def test_a_cluster_restored_to_an_instant_is_whole_and_has_what_was_there(
    folder: Path, aws: str, stripe_url: str, secret_store: SecretStore
) -> None:
    source, restored, log = folder / "source", folder / "restored", folder / "source" / "log"
    log.mkdir(parents=True)
    keeping = {"archive_mode": "on", "archive_command": f"cp %p {log}/%f"}
    with running(source, durable=False, settings=keeping) as server:
        owner = server.create_database("shop")
        upgrade(owner.url, role_password=ROLE_PASSWORD)
        make_partitions_around_now(owner)
        with House(owner, stripe_url, secret_store, archive_environment()) as house:
            house.add_variant(stock=100)
            old_at_once(house)
            delivered(house, 2)
            house.clock.advance(minutes=5)
            assert archive(house).orders == 2
            restored.mkdir()
            base_backup(server, restored / "data")
            for _ in range(3):
                house.place()
            house.work()
            known = orders(house)
            instant = house.value("SELECT clock_timestamp()")
            for _ in range(3):
                house.place()
            assert len(orders(house)) == len(known) + 3
            await_archived(server)

            shutil.copy(source / "password", restored / "password")
            (restored / "data" / "recovery.signal").touch()
            recovery = {
                "restore_command": f"cp {log}/%f %p",
                "recovery_target_time": instant.isoformat(),
                "recovery_target_action": "promote",
                "hot_standby": "off",  # no connections before the instant is reached
            }
            with running(restored, durable=False, settings=recovery) as second, moved(house, second):
                judge(house, known)


@contextmanager
def moved(house: House, server: Server) -> Iterator[None]:
    """Point the house at another cluster for the time of the block."""
    before = house.owner, house.engine, house.runtime, house.system
    house.owner = server.master_of("shop")
    house.engine = create_engine(url_of(house.owner), isolation_level="AUTOCOMMIT")
    house.runtime = house._runtime("holdfast_app", before[2].secrets)
    house.system = house._runtime("holdfast_system", before[2].secrets)
    try:
        yield
    finally:
        for engine in (house.engine, house.runtime.database.engine, house.system.database.engine):
            engine.dispose()
        house.owner, house.engine, house.runtime, house.system = before


def judge(house: House, known: set[str]) -> None:
    """Check a restored cluster: the orders, every invariant, the ledger, the payments and the archive."""
    assert orders(house) == known
    assert house.violations() == []
    ledger = check_ledger(house.system, house.clock, plenty, whole=True)
    assert (ledger.finished, ledger.differences) == (True, 0)
    told, proven = verify_with(house.system)
    assert proven, told
    assert "1 batches, 2 orders" in told[0]
    house.place()
    assert len(orders(house)) == len(known) + 1
    assert house.violations() == []
    print(
        f"{len(known)} orders, as at the instant; every invariant holds; {ledger.differences} levels differ; {told[0]}"
    )
