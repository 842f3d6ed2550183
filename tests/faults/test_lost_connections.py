"""Sessions that the server ends while nobody is looking: by a failover, an idle timeout or an operator."""

import pytest

from holdfast.database.errors import ConnectionLost
from local.postgres import Server
from tests.house import House
from tests.races.crowd import guest, rush, tally


def end_all_sessions(postgres: Server, house: House) -> None:
    """End every session that the functions have in this house's database."""
    postgres.admin.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        f" WHERE datname = '{house.owner.database}' AND usename LIKE 'holdfast_%' AND usename <> 'holdfast_master'"
    )


def test_sessions_that_died_in_the_pool_are_replaced_and_no_shopper_notices(house: House, postgres: Server) -> None:
    house.add_variant(stock=100)
    shoppers = [lambda: house.place({"TEE": 1}, caller=guest(house))] * 4
    assert tally(rush(shoppers)) == {"201": 4}
    for _ in range(3):
        end_all_sessions(postgres, house)
        assert tally(rush(shoppers)) == {"201": 4}
    assert house.stock() == {"EWR": (84, 0)}
    assert house.violations() == []


def test_a_session_that_dies_in_a_transaction_does_not_go_back_to_the_pool(house: House, postgres: Server) -> None:
    database = house.runtime.database

    def die_within() -> None:
        with database.transaction(house.organization_id, now=house.clock()) as transaction:
            transaction.value("SELECT 1")
            end_all_sessions(postgres, house)
            transaction.value("SELECT 1")

    with pytest.raises(ConnectionLost):
        die_within()
    with database.transaction(house.organization_id, now=house.clock()) as transaction:
        assert transaction.value("SELECT 1") == 1
