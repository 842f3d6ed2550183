"""The driver: one round trip per statement, COMMIT sent along with the last one, and no answer mistaken for another."""

import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from types import FrameType

import pytest
from sqlalchemy.exc import DBAPIError

from holdfast.database.errors import (
    ConnectionLost,
    ConstraintViolated,
)
from holdfast.database.transaction import Database, Transaction
from local.postgres import Address, Server
from tests.database.acting import APP, connected
from tests.database.driving import (
    COMMITTING_NOTE,
    NOTE,
    NOW,
    attempt,
    backend,
    divide_by_zero,
    give_up,
    note,
    note_and_commit,
    notes,
    open_database,
    swallow_an_error,
)
from tests.database.round_trips import COMMIT, Proxy


@pytest.fixture
def wire(db: Address) -> Iterator[Proxy]:
    with connected(db) as owner:
        owner.run("CREATE TABLE public.notes (id bigint GENERATED ALWAYS AS IDENTITY, text text NOT NULL)")
        owner.run(f"GRANT SELECT, INSERT, UPDATE ON public.notes TO {APP}")
    with Proxy(db) as proxy:
        yield proxy


@pytest.fixture
def database(wire: Proxy) -> Iterator[Database]:
    """Yield a database with one connection, through the proxy."""
    made = open_database(wire.of(wire.target))
    with made.transaction(None, now=NOW) as transaction:
        transaction.value("SELECT 1")
    yield made
    made.engine.dispose()


# --- what it costs -----------------------------------------------------------------------------------------------


def test_begin_each_statement_and_commit_are_one_round_trip_each(database: Database, wire: Proxy) -> None:
    before = len(wire.trips(APP))
    with database.transaction(None, now=NOW) as transaction:
        transaction.execute(NOTE, text="one")
        transaction.rows("SELECT * FROM public.notes WHERE id > :id", id=0)
        transaction.value("SELECT count(*) FROM public.notes")
    assert [len(trip) for trip in wire.trips(APP)[before:]] == [1, 1, 1, 1, 1]


def test_the_last_statement_takes_the_commit_along(database: Database, wire: Proxy) -> None:
    before = len(wire.trips(APP))
    with database.transaction(None, now=NOW) as transaction:
        assert transaction.execute_and_commit(COMMITTING_NOTE, text="kept") == 1
        assert transaction.committed
    assert [len(trip) for trip in wire.trips(APP)[before:]] == [1, 2]
    assert notes(wire.target) == ["kept"]


# --- how it deals with errors ------------------------------------------------------------------------------------


def test_a_statement_that_fails_with_its_commit_behind_it_leaves_nothing(database: Database, wire: Proxy) -> None:
    pid = backend(database)
    with pytest.raises(DBAPIError, match="division by zero"):
        attempt(database, note("before"), lambda t: t.execute_and_commit("SELECT 1 / CAST(:zero AS integer)", zero=0))
    assert notes(wire.target) == []
    assert backend(database) == pid, "the connection is as good as before"


def test_a_commit_that_fails_is_told_though_its_statement_succeeded(database: Database, wire: Proxy) -> None:
    """A deferred constraint is checked only at COMMIT."""
    with connected(wire.target) as owner:
        owner.run("ALTER TABLE public.notes ADD CONSTRAINT notes_once UNIQUE (text) DEFERRABLE INITIALLY DEFERRED")
    pid = backend(database)
    with pytest.raises(ConstraintViolated, match="notes_once"):
        attempt(database, note("twice"), note_and_commit("twice"))
    assert notes(wire.target) == []
    assert backend(database) == pid


def test_an_error_in_the_middle_rolls_back_and_keeps_the_connection(database: Database, wire: Proxy) -> None:
    pid = backend(database)
    for _ in range(5):
        with pytest.raises(DBAPIError):
            attempt(database, note("gone"), divide_by_zero)
        with pytest.raises(LookupError):
            attempt(database, note("gone too"), give_up)
    assert notes(wire.target) == []
    assert backend(database) == pid
    assert len(wire.conversations) == 1


def test_going_on_after_a_failed_statement_is_not_taken_for_a_lost_connection(database: Database, wire: Proxy) -> None:
    """A block that swallows an error and ends commits nothing, which must surface as a bug."""
    with pytest.raises(Exception, match="failed transaction") as found:
        attempt(database, swallow_an_error)
    assert not isinstance(found.value, ConnectionLost)
    assert backend(database)


def test_a_savepoint_takes_back_a_failed_statement_alone(database: Database, wire: Proxy) -> None:
    with database.transaction(None, now=NOW) as transaction:
        transaction.execute(NOTE, text="kept")
        transaction.execute("SAVEPOINT here")
        swallow_an_error(transaction)
        transaction.execute("ROLLBACK TO SAVEPOINT here")
        transaction.execute_and_commit(COMMITTING_NOTE, text="kept too")
    assert notes(wire.target) == ["kept", "kept too"]


# --- how it deals with a bad network -----------------------------------------------------------------------------


def test_a_connection_lost_in_a_statement_rolls_back_and_is_replaced(database: Database, wire: Proxy) -> None:
    wire.cut_at(b"VALUES", deliver=b"")
    with pytest.raises(ConnectionLost):
        attempt(database, note("never sent"))
    assert backend(database)
    assert notes(wire.target) == []
    assert len(wire.conversations) == 2


def test_a_connection_lost_between_statement_and_commit_commits_nothing(database: Database, wire: Proxy) -> None:
    wire.cut_at(COMMIT, deliver=COMMIT)
    with pytest.raises(ConnectionLost):
        attempt(database, note_and_commit("half sent"))
    assert backend(database)
    assert notes(wire.target) == []


@pytest.mark.parametrize("pipelined", [True, False])
def test_a_commit_whose_answer_is_lost_is_told_as_unknown_though_it_happened(
    database: Database, wire: Proxy, pipelined: bool
) -> None:
    wire.cut_at(COMMIT, deliver=None)
    with pytest.raises(ConnectionLost):
        attempt(database, (note_and_commit if pipelined else note)("who knows"))
    assert backend(database)
    assert notes(wire.target) == ["who knows"]


def test_a_connection_that_died_in_the_pool_is_replaced_unnoticed(database: Database, superuser: Address) -> None:
    pid = backend(database)
    with connected(superuser) as connection:
        connection.run("SELECT pg_terminate_backend(:pid, 5000)", pid=pid)
    assert backend(database) != pid


def test_no_server_is_told_as_a_lost_connection(db: Address) -> None:
    nowhere = open_database(replace(db, port=1))
    with pytest.raises(ConnectionLost), nowhere.transaction(None, now=NOW):
        pass


class Alarm(BaseException):
    """Something that interrupts a wait for the server, as a function's timeout does."""


def test_no_answer_is_taken_for_another_after_a_wait_was_broken_off(database: Database, wire: Proxy) -> None:
    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Alarm):
            attempt(
                database,
                lambda _: signal.setitimer(signal.ITIMER_REAL, 0.2),
                lambda t: t.value("SELECT 'an old answer' FROM pg_sleep(:seconds)", seconds=0.6),
            )
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    with database.transaction(None, now=NOW) as transaction:
        assert transaction.value("SELECT :word", word="mine") == "mine"
    assert len(wire.conversations) == 2


# --- how it deals with other clients


def test_a_real_deadlock_is_replayed_until_both_are_done(wire: Proxy) -> None:
    database = open_database(wire.target, connections=2)
    with database.transaction(None, now=NOW) as transaction:
        for text in ("first", "second"):
            transaction.execute(NOTE, text=text)
    met = threading.Barrier(2)
    runs: list[int] = []

    def lock(first: int, second: int) -> None:
        def work(transaction: Transaction) -> None:
            runs.append(first)
            append = "UPDATE public.notes SET text = text || :by WHERE id = :id"
            transaction.execute(append, by=f"+{first}", id=first)
            if len(runs) <= 2:
                met.wait(10)
            transaction.execute(append, by=f"+{first}", id=second)

        database.transact(None, work, now=NOW)

    threads = [threading.Thread(target=lock, args=pair) for pair in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    database.engine.dispose()
    assert len(runs) == 3, "one of the two was the victim and ran again"
    assert sorted(len(text.split("+")) for text in notes(wire.target)) == [3, 3]


def test_a_lost_connection_is_closed_without_another_error(
    database: Database, postgres: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets the error; the pool closes the connection and adds nothing to the log."""

    def lose_it(transaction: Transaction) -> None:
        pid = transaction.value("SELECT pg_backend_pid()")
        postgres.admin.execute(f"SELECT pg_terminate_backend({pid}, 5000)")

    with pytest.raises(ConnectionLost):
        attempt(database, lose_it, note("lost"))
    assert [record.message for record in caplog.records if record.name.startswith("sqlalchemy")] == []
    attempt(database, note("the next one"))
