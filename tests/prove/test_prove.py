"""The proof itself: a seed determines its plan, what breaks is reported, and every mutation still finds its guard."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from types import ModuleType

import pytest
from pg8000.exceptions import DatabaseError

from holdfast.database.migrations.run import upgrade
from local.postgres import Address, Server
from local.testing import build_template, database
from prove import aws, shop, summary
from prove.mutations import MUTATIONS, Mutation
from prove.plan import ACTIONS_MIN, FAULTS_MIN, KINDS, MASTER_KINDS, TOGETHER, make_plan
from prove.replacing import put
from prove.report import FOLD, examine
from prove.rules import AREAS, YEARS
from prove.run import TASKS
from prove.scenes import ACTIONS, SCENES
from prove.site import REPOSITORY, Site, open_site

MOVES = 25


@pytest.fixture(scope="module", autouse=True)
def _aws_of_the_simulation() -> Iterator[None]:
    """Undo what a world writes into the environment after this module, since other tests have their own AWS."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws.ENVIRONMENT.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with open_site() as site:
        yield site


def test_a_plan_is_what_its_seed_says() -> None:
    assert make_plan("a").told() == make_plan("a").told()
    assert make_plan("a").told() != make_plan("b").told()


def test_a_plan_has_two_hundred_actions_and_far_more_trouble_than_it_needs() -> None:
    for seed in ("a", "b", "c"):
        moves = make_plan(seed).moves
        assert len(moves) >= ACTIONS_MIN
        assert sum(move.trap is not None or move.gateway is not None for move in moves) >= 2 * FAULTS_MIN


def test_no_plan_is_without_a_scene_and_each_has_them_elsewhere() -> None:
    places = []
    for seed in ("a", "b"):
        told = [move.scene for move in make_plan(seed).moves if move.scene]
        assert list(dict.fromkeys(told)) == [name for at, name in enumerate(told) if at == told.index(name)]
        assert set(told) == {scene.name for scene in SCENES}
        places.append(told)
    assert places[0] != places[1]


def test_everything_a_plan_may_ask_for_can_be_done() -> None:
    asked = set(KINDS) | set(ACTIONS) | {kind for first, second, _ in TOGETHER for kind in (first, second)}
    assert asked <= set(TASKS) | MASTER_KINDS


def test_a_seed_that_is_told_again_tells_the_same_story(site: Site) -> None:
    first, second = (site.tell("again", moves_max=MOVES) for _ in range(2))
    assert first.violated == []
    assert first.counts == second.counts
    assert first.story == second.story


def test_what_breaks_an_invariant_is_told_with_its_seed_and_rows(site: Site) -> None:
    plan = make_plan("planted")
    with site.world(replace(plan, moves=())) as world:
        assert [finding for finding in examine(world) if finding.is_violated] == []
        world.sql("UPDATE inventory.stock_levels SET reserved = 1 WHERE variant_id = :tee", tee=shop.VARIANTS["TEE"])
        (finding,) = [each for each in examine(world) if each.sentence == "reserved is the sum of live reservations"]
    assert finding.rows == len(shop.WAREHOUSES)
    assert "'held': 0" in finding.first[0]


def test_a_deadlock_is_told_though_the_server_crashed_after_it(site: Site) -> None:
    """A crash erases the server's statistics."""
    with site.world(replace(make_plan("deadlock"), moves=())) as world:
        _lock_crosswise(world.superuser)
        site.restart()
        world.write_down()
        (finding,) = [each for each in examine(world) if each.sentence == "nobody deadlocked"]
    assert finding.rows == 1
    assert "pg_advisory_xact_lock" in finding.first[0]


def _lock_crosswise(address: Address) -> None:
    lock = "SELECT pg_advisory_xact_lock({})"
    both_hold_one = Barrier(2)

    def take(first: int, second: int) -> bool:
        connection = address.connect()
        connection.run("BEGIN")
        connection.run(lock.format(first))
        both_hold_one.wait()
        try:
            connection.run(lock.format(second))
        except DatabaseError:
            return True
        finally:
            connection.close()
        return False

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(take, (1, 2), (2, 1))) == [False, True]


def test_no_seed_passes_that_did_too_little(site: Site) -> None:
    told = site.tell("short", moves_max=3)
    assert summary.too_tame(told) is not None


@pytest.fixture(scope="module")
def with_a_shop(postgres: Server) -> str:
    def build(owner: Address) -> None:
        upgrade(owner.url, role_password=shop.ROLE_PASSWORD)
        replace(postgres.admin, database=owner.database).execute(shop.WITNESSES.read_text())

    return build_template(postgres, build)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: str(mutation.name))
def test_a_mutation_finds_the_guard_that_it_switches_off(
    mutation: Mutation, postgres: Server, with_a_shop: str
) -> None:
    with database(postgres, with_a_shop) as owner:
        connection = replace(postgres.admin, database=owner.database).connect()
        try:
            mutation.change_schema(connection)
        finally:
            connection.close()
    assert mutation.breaks in {sentence for queries in AREAS.values() for sentence in queries} | {FOLD, *YEARS}


def test_the_code_that_a_mutation_replaces_is_code_that_is_used() -> None:
    """The mutations run in a process of their own, because they stay in effect in it."""
    program = "from prove.mutations import MUTATIONS\nfor mutation in MUTATIONS: mutation.change_code()"
    subprocess.run([sys.executable, "-c", program], check=True, cwd=REPOSITORY)


def test_what_a_module_has_and_does_not_use_is_not_replaced() -> None:
    module = ModuleType("module")
    exec("def used(): ...\ndef unused(): ...\ndef user(): return [used() for _ in '.']", vars(module))
    for function in ("used", "unused", "user"):
        vars(module)[function].__module__ = "module"
    put(module, "used", None)
    with pytest.raises(LookupError, match="does not use unused any more"):
        put(module, "unused", None)
