"""The years after: finished orders go into the archive, out of the active tables and then into cold storage; late
events and people bring orders back. Schedules are killed, overlap with themselves and find AWS down. Whatever happened
to an order, it reads as it always did."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from holdfast.flows.archive.archive_orders import archive_orders
from holdfast.flows.archive.export_to_cold_storage import export_to_cold_storage
from holdfast.flows.archive.prove_chain import prove_chain, prove_chains
from holdfast.flows.archive.prove_cold_storage import prove_cold_storage
from holdfast.flows.archive.purge_orders import purge_orders
from holdfast.flows.archive.restore_order import restore_order
from holdfast.flows.archive.scan_archive import full_scan, spot_check
from holdfast.flows.archive.verify_archive import verify_new_batches
from holdfast.flows.orders.find_order import find_order
from holdfast.runtime import Runtime
from prove import shop, steps
from prove.actors import Task, run_together
from prove.rules import DISPUTABLE, YEARS
from prove.settling import Settling
from prove.steps import TIME_LEFT_SECONDS, Clock
from prove.trap import Among, Deed, Step, Trap
from prove.world import Webhook, World

DAY: Final = 86_400
BATCH_MAX_ORDERS: Final = 5
"""Small, so that there are several batches to die in."""
_TROUBLES: Final = (
    Trap(0, Deed.KILL_PROCESS, Among.ALL),
    Trap(0, Deed.KILL_PROCESS, Among.COMMITS),
    Trap(0, Deed.LOSE_ANSWER, Among.COMMITS),
    Trap(0, Deed.REFUSE_40001, Among.STATEMENTS),
    Trap(0, Deed.END_CONNECTION, Among.STATEMENTS),
    Trap(0, Deed.PAUSE, Among.STATEMENTS),
)
_POINTS_MAX: Final = {Among.ALL: 24, Among.STATEMENTS: 16, Among.COMMITS: 6}
Views = Mapping[str, Mapping[str, Any]]


def archival(runtime: Runtime, clock: Clock) -> tuple[int, int]:
    """A tick of ``archival``. Return how many orders were purged and how many were archived."""
    purged = purge_orders(runtime, clock, _plenty)
    return purged.orders, archive_orders(runtime, clock, _plenty, batch_max_orders=BATCH_MAX_ORDERS).orders


def verification(runtime: Runtime, clock: Clock) -> int:
    """The ticks of ``archive_verification``: new batches, some by chance, the chain, and everything."""
    looks = (verify_new_batches, spot_check, prove_chains, full_scan)
    return sum(len(look(runtime, clock, _plenty).tally.findings) for look in looks)


def cold_export(runtime: Runtime, clock: Clock) -> tuple[int, int]:
    """A tick of ``cold_export``. Return how many orders were moved and how many files are unproven or broken."""
    exported = export_to_cold_storage(runtime, clock, _plenty)
    return exported.orders, exported.unproven_files + len(prove_cold_storage(runtime, clock, _plenty).broken)


def bring_back(runtime: Runtime, clock: Clock, order_id: UUID) -> bool:
    """``POST /v1/ops/archive/orders/{id}/restore``."""
    return restore_order(runtime, shop.ORGANIZATION, order_id, clock(), shop.MANAGER.actor, "as the plan has it")


def read_orders(runtime: Runtime, clock: Clock, order_ids: Sequence[str]) -> Views:
    """``GET /v1/orders/{id}``, one by one, without the version, which counts how often the row was written."""
    return {each: {**find_order(runtime, shop.MANAGER, each, clock()), "version": None} for each in order_ids}


def prove_the_chain(runtime: Runtime, clock: Clock) -> str | None:
    """Return where the chain of batches is broken and why, or ``None`` when it is whole."""
    proof = prove_chain(runtime, shop.ORGANIZATION, clock, _plenty, actor="system:archive_verification")
    return None if proof.break_position is None else f"batch {proof.break_position}: {proof.break_reason}"


def _plenty() -> float:
    return TIME_LEFT_SECONDS


class Years:
    """The later years of one world that has come to rest."""

    def __init__(self, world: World, settling: Settling) -> None:
        self._world = world
        self._settling = settling
        self._dice = random.Random(f"years/{world.plan.seed}")
        self._number = 0
        self._known: dict[str, Any] = {}
        self._stirred: set[str] = set()
        """Orders that were affected by something since they were last read."""

    def go_by(self) -> dict[str, list[object]]:
        """Let about two and a half years pass, then about four more. Return the rows that break each sentence."""
        world = self._world
        rows = world.rows("SELECT id FROM orders.orders ORDER BY id")
        self._known = dict(self._do("app", read_orders, [str(row["id"]) for row in rows]))
        other: list[object] = []
        self._leap(900)
        self._put_away()
        other += self._read_again()
        self._late_news("archived")
        self._person_restores()
        other += self._read_again()
        self._leap(120)
        self._put_away()
        self._leap(1_300)
        self._put_away()
        self._troubled(cold_export)
        self._troubled(cold_export)
        other += self._read_again()
        self._late_news("cold_storage")
        other += self._read_again()
        self._leap(120)
        self._put_away()
        other += self._read_again()
        world.write_down_troubles()
        found: dict[str, list[object]] = {sentence: list(world.rows(query)) for sentence, query in YEARS.items()}
        broken = self._do("system", prove_the_chain)
        return {
            "an old order reads as it always did": other,
            "the chain of batches is whole": [broken] if broken else [],
            **found,
        }

    def _leap(self, days: int) -> None:
        self._world.turn(days * DAY)
        self._world.tell(f"{days} days pass")
        self._world.counts["fault: leap of years" if days > 365 else "fault: leap of months"] += 1
        self._do("system", steps.keep_the_house)

    def _put_away(self) -> None:
        """Archive, verify, and purge when the grace period is over."""
        self._troubled(archival)
        self._troubled(verification)
        self._world.turn(8 * DAY)
        self._troubled(archival)

    def _troubled(self, schedule: Step) -> None:
        """Run a tick that is disturbed, then one that is not."""
        world, trap = self._world, self._dice.choice(_TROUBLES)
        trap = Trap(self._dice.randint(1, _POINTS_MAX[trap.among]), trap.deed, trap.among)
        aws = "down" if self._dice.random() < 0.2 else None
        task = self._task("system", schedule, (), trap=trap, aws=aws)
        world.counts[f"action {schedule.__name__}"] += 1
        if trap.deed is Deed.PAUSE:
            other = self._task("system", schedule, ())
            outcomes, met = run_together((world.actors[0], task), [(world.actors[1], other)], world.somebody_waits)
            world.counts[f"together: {schedule.__name__} + same"] += met
        else:
            world.actors[0].begin(task)
            outcomes = [world.actors[0].finish()]
        for outcome in outcomes:
            world.note(0, task, outcome, None)
            world.tell(f"{schedule.__name__} [{trap.deed} {outcome.trapped_at}] {outcome.result or outcome.error}")
        if outcomes[0].trapped_at is not None:
            world.counts[f"fault: {schedule.__name__}, {trap.deed}"] += 1
        world.turn(3_600)
        world.counts[f"action {schedule.__name__}"] += 1
        world.tell(f"{schedule.__name__}: {self._do('system', schedule)}")
        world.collect()

    def _late_news(self, location: str) -> None:
        """Let a shopper's bank dispute the payment of an order that is put away, and repeat some old webhooks."""
        world = self._world
        rows = world.rows(DISPUTABLE, location=location)
        if not rows:
            return
        row = self._dice.choice(rows)
        world.tell(f"the shopper's bank about an order in {location}: {row['order_id']}")
        path = f"/_control/payment_intents/{row['gateway_transaction_id']}/dispute"
        world.gateway.ask("POST", path, {"status": "won"})
        world.sql("INSERT INTO prove.late_news VALUES (:id)", id=row["order_id"])
        world.counts[f"outside: late news, {location}"] += 1
        self._stirred.add(str(row["order_id"]))
        world.collect()
        repeated = self._dice.sample(world.memory.heard, min(3, len(world.memory.heard)))
        self._stirred |= self._orders_it_is_new_to(repeated)
        world.memory.mail += repeated
        self._settling.hear_everything()

    def _orders_it_is_new_to(self, webhooks: Sequence[Webhook]) -> set[str]:
        """Return the orders to which these webhooks are news: their webhook was lost at the time."""
        acknowledged = set(self._world.memory.acknowledged)
        payments = [webhook.payment for webhook in webhooks if webhook.id not in acknowledged]
        rows = self._world.rows(
            "SELECT order_id FROM archive.payment_references WHERE gateway_transaction_id = ANY (CAST(:p AS text[]))"
            " UNION SELECT order_id FROM payments.payments WHERE gateway_transaction_id = ANY (CAST(:p AS text[]))",
            p=payments,
        )
        return {str(row["order_id"]) for row in rows}

    def _person_restores(self) -> None:
        rows = self._world.rows(
            "SELECT order_id FROM archive.archive_index WHERE location = 'archived' ORDER BY order_id"
        )
        if rows:
            order_id = self._dice.choice(rows)["order_id"]
            self._world.counts["action bring_back"] += 1
            self._world.tell(f"bring_back {order_id}: {self._do('system', bring_back, order_id)}")

    def _read_again(self) -> list[object]:
        """Return what now reads differently in the orders that are put away, wherever they lie.

        Orders that were affected by something since the last reading are left out.
        """
        rows = self._world.rows("SELECT order_id FROM archive.archive_index")
        put_away = {str(row["order_id"]) for row in rows} - self._stirred
        views = self._do("app", read_orders, list(self._known))
        other: list[object] = []
        for each, view in views.items():
            was = self._known[each]
            names = {name for name in {*was, *view} if was.get(name) != view.get(name)}
            if names and each in put_away:
                other.append({"order": each, **{name: (was.get(name), view.get(name)) for name in sorted(names)}})
        self._known = dict(views)
        self._stirred.clear()
        return other

    def _task(
        self, role: str, step: Step, arguments: tuple[Any, ...], trap: Trap | None = None, aws: str | None = None
    ) -> Task:
        self._number += 1
        dice = f"years/{self._world.plan.seed}/{self._number}"
        return Task(role, self._world.now, step, arguments, dice, trap, aws)

    def _do(self, role: str, step: Step, *arguments: Any) -> Any:
        """Run a step and return its result. Raises RuntimeError if it fails although nothing disturbs it."""
        task, actor = self._task(role, step, arguments), self._world.actors[0]
        actor.begin(task)
        outcome = actor.finish()
        self._world.note(0, task, outcome, None)
        if outcome.error is not None or outcome.killed:
            raise RuntimeError(f"{step.__name__}: {outcome.error}: {outcome.detail}")
        return outcome.result
