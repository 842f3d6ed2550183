import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pg8000.exceptions
import pytest

from local import postgres, postgres_cluster, testing

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, pathlib
from local import postgres
server = postgres.start(pathlib.Path(sys.argv[1]), durable=False)
print(server.process.pid, server.admin.url, flush=True)
sys.stdin.read()
server.stop()
"""


@pytest.fixture(autouse=True)
def _embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DATABASE_URL", raising=False)


def hold(folder: Path) -> tuple[subprocess.Popen[str], int, postgres.Address]:
    """Start another process that runs a server on the folder until its standard input closes."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    pid, url = holder.stdout.readline().split()
    return holder, int(pid), postgres.Address.parse(url)


def release(holder: subprocess.Popen[str]) -> None:
    for stream in (holder.stdin, holder.stdout):
        assert stream is not None
        stream.close()
    holder.wait(15)


def wait_until_gone(pid: int) -> None:
    subprocess.run(["timeout", "10", "tail", f"--pid={pid}", "-f", "/dev/null"], check=True)


def test_data_survives_a_stop_and_a_start(tmp_path: Path) -> None:
    with postgres.running(tmp_path, durable=False) as server:
        owner = server.create_database("kept")
        owner.execute("CREATE TABLE note (text text)", "INSERT INTO note VALUES ('kept')")
    with postgres.running(tmp_path, durable=False) as server:
        assert server.has_database("kept")
        address = postgres.Address(server.master.host, server.master.port, owner.user, owner.password, "kept")
        assert address.execute("SELECT text FROM note") == [["kept"]]


def test_the_server_ends_with_a_killed_parent_and_its_lock_does_not_block_the_next_start(tmp_path: Path) -> None:
    holder, pid, _ = hold(tmp_path)
    holder.send_signal(signal.SIGKILL)
    release(holder)
    wait_until_gone(pid)
    with postgres.running(tmp_path, durable=False) as server:
        assert server.admin.execute("SELECT 1") == [[1]]


def test_a_killed_server_leaves_a_lock_file_that_does_not_block_the_next_start(tmp_path: Path) -> None:
    holder, pid, _ = hold(tmp_path)
    os.kill(pid, signal.SIGKILL)
    release(holder)
    assert (tmp_path / "data" / "postmaster.pid").exists()
    with postgres.running(tmp_path, durable=False) as server:
        assert server.admin.execute("SELECT 1") == [[1]]


def test_a_lock_file_that_names_another_living_process_does_not_block_the_start(tmp_path: Path) -> None:
    with postgres.running(tmp_path, durable=False):
        pass
    lock = tmp_path / "data" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n{tmp_path / 'data'}\n0\n5432\n\n\n\n")
    with postgres.running(tmp_path, durable=False) as server:
        assert server.admin.execute("SELECT 1") == [[1]]


def test_a_server_left_on_the_folder_is_stopped_by_the_next_start(tmp_path: Path) -> None:
    holder, pid, _ = hold(tmp_path)
    with postgres.running(tmp_path, durable=False) as server:
        assert server.process is not None
        assert server.process.pid != pid
        assert server.admin.execute("SELECT 1") == [[1]]
    release(holder)


def test_a_restart_cuts_off_clients_keeps_what_was_committed_and_comes_back_at_the_same_address(tmp_path: Path) -> None:
    with postgres.running(tmp_path, durable=False, settings={"synchronous_commit": "on"}) as server:
        server.admin.execute("CREATE TABLE kept (id integer)", "INSERT INTO kept VALUES (7)")
        client = server.admin.connect()
        server.restart()
        with pytest.raises((OSError, pg8000.exceptions.Error)):
            client.run("SELECT 1")
        with pytest.raises((OSError, pg8000.exceptions.Error)):
            client.close()
        assert server.admin.execute("SELECT id FROM kept") == [[7]]


def test_stopping_does_not_wait_for_clients(tmp_path: Path) -> None:
    with postgres.running(tmp_path, durable=False) as server:
        connection = server.admin.connect()
        connection.run("BEGIN")
        server.stop()
        with pytest.raises(pg8000.exceptions.InterfaceError):
            connection.run("SELECT 1")
        with pytest.raises(pg8000.exceptions.InterfaceError):
            connection.close()


def test_a_wrong_password_is_refused_and_the_owner_is_no_superuser() -> None:
    with testing.throw_away_server() as server:
        wrong = postgres.Address(server.admin.host, server.admin.port, "postgres", "wrong", "postgres")
        with pytest.raises(pg8000.exceptions.DatabaseError):
            wrong.connect()
        rows = server.master.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert rows == [[False, False]]


def test_a_copy_of_a_template_has_its_tables_and_is_gone_afterwards() -> None:
    with testing.throw_away_server() as server:
        template = testing.build_template(server, lambda owner: owner.execute("CREATE TABLE stock (sku text)"))
        with testing.database(server, template) as one, testing.database(server, template) as two:
            one.execute("INSERT INTO stock VALUES ('only in one')")
            assert two.execute("SELECT count(*) FROM stock") == [[0]]
        assert not server.has_database(one.database)


def test_database_url_is_used_and_not_stopped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with testing.throw_away_server() as outer:
        monkeypatch.setenv("DATABASE_URL", outer.admin.url)
        with postgres.running(tmp_path) as server, testing.database(server) as owner:
            assert not server.is_embedded
            assert owner.execute("SELECT 1") == [[1]]
        assert outer.admin.execute("SELECT 1") == [[1]]


def test_a_database_url_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://nobody:x@127.0.0.1:{postgres.free_port()}/x")
    with pytest.raises(postgres_cluster.PostgresUnavailable, match="does not answer"):
        postgres.start(tmp_path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_as_root_without_user_namespaces_the_server_runs_as_nobody_and_root_can_follow(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    binaries = postgres_cluster.find_binaries()
    closed = [parent for parent in binaries.parents if not parent.stat().st_mode & stat.S_IXOTH]
    if closed:
        pytest.skip(f"nobody may not reach the server's programs: {closed[-1]} is closed to others")
    folder = Path("/tmp") / f"holdfast-nobody-{os.getpid()}"
    try:
        with postgres.running(folder, durable=False) as server:
            server.create_database("kept")
        monkeypatch.setattr(postgres_cluster, "ROOT_IDENTITIES", postgres_cluster.ROOT_IDENTITIES[1:])
        with postgres.running(folder, durable=False) as server:
            assert server.has_database("kept")
        monkeypatch.undo()
        monkeypatch.delenv("DATABASE_URL", raising=False)
        with postgres.running(folder, durable=False) as server:
            assert server.has_database("kept")
    finally:
        subprocess.run(["rm", "-rf", str(folder)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to become somebody else")
def test_when_nothing_will_do_the_message_says_what_was_tried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr(postgres_cluster, "ROOT_IDENTITIES", postgres_cluster.ROOT_IDENTITIES[1:])
    with pytest.raises(postgres_cluster.PostgresUnavailable, match=r"as nobody: .*[Pp]ermission denied"):
        postgres.start(closed / "postgres", durable=False)
