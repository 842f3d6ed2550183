"""Brings a world to rest: nothing goes wrong any more, the clock advances and schedules run until nothing is due."""

import random
from datetime import timedelta
from typing import Final

from prove import shop, steps
from prove.actors import Outcome, Task
from prove.outside import POISON, delivery, is_poisoned, mend
from prove.trap import Step, Trap
from prove.world import Webhook, World

TURNS_SECONDS: Final = (61, 91, 200, 600, 2_000, 3_700, 3_700, 7_300, 7_300, 30_000, 86_400, 86_400)
"""Seconds between rounds. They go past the leases of events and returns, the first checks of a payment, the end of a
hold and its grace, the age at which an unpaid order is cancelled, and the days whose books are compared with the
gateway's."""
ROUNDS_MAX: Final = 4
_DAYS: Final = 9
"""One day on which the books are compared, one more for what follows from that, and the week after which refunds are
checked again. The days pass one at a time, because held money is captured before it expires."""
_HEARD_SHARE: Final = 0.6

_WAITING: Final = """
    SELECT (SELECT count(*) FROM orders.orders
             WHERE status IN ('pending_payment', 'payment_processing', 'payment_failed'))
         + (SELECT count(*) FROM payments.payments WHERE status IN ('pending', 'processing', 'requires_action'))
         + (SELECT count(*) FROM orders.order_operations WHERE state = 'running')
         + (SELECT count(*) FROM payments.payment_events WHERE state IN ('pending', 'retry_scheduled'))
         + (SELECT count(*) FROM payments.dead_letters WHERE status = 'auto_replay_scheduled')
         + (SELECT count(*) FROM payments.group_replays WHERE state = 'running')
         + (SELECT count(*) FROM tenancy.payment_methods WHERE forget_at IS NOT NULL)
         + (SELECT count(*) FROM operations.outbox WHERE published_at IS NULL)
         + (SELECT count(*) FROM inventory.reservations WHERE status = 'active')
"""
_TRIED_FOR_EVER: Final = """
    INSERT INTO prove.tried_for_ever (event_id, state, attempts)
    SELECT id, state, attempts FROM payments.payment_events
     WHERE state IN ('pending', 'retry_scheduled') AND received_at < :since
"""
_TIME_ENOUGH: Final = timedelta(days=1)
_LETTERS: Final = (
    "SELECT id, status, version FROM payments.dead_letters WHERE resolved_at IS NULL ORDER BY created_at, id"
)


class Settling:
    """One world on its way to rest."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._chance = random.Random(f"rest/{world.plan.seed}")
        self._number = 0

    def come_to_rest(self) -> None:
        """Go on until nothing is due and nobody has anything to decide, but for a bounded time."""
        world = self._world
        world.value("SELECT 1")  # the last move may have crashed the server; this waits for it
        world.tell("nothing goes wrong from here on")
        self._post_arrives()
        self._until_quiet()
        world.sql(_TRIED_FOR_EVER, since=world.now - _TIME_ENOUGH)
        mend(world)
        self._until_quiet()
        self._people_finish()
        self._books_are_compared()
        if world.plan.echoes:
            world.memory.mail = list(world.memory.heard)
            self._post_arrives(share=1.0)
            self._until_quiet()
            self._people_finish()

    def hear_everything(self) -> None:
        """Deliver everything that is on its way, and do what follows from it."""
        self._post_arrives(share=1.0)
        self._until_quiet()
        self._people_finish()

    def _post_arrives(self, share: float = _HEARD_SHARE) -> None:
        """Deliver most of what is on its way; the rest is lost for ever."""
        world = self._world
        mail, world.memory.mail = world.memory.mail, []
        for webhook in mail:
            if self._chance.random() < share:
                self._receive(webhook)
        world.collect()

    def _receive(self, webhook: Webhook) -> None:
        world = self._world
        outcome = self._do("app", steps.receive, *delivery(world, webhook))
        if outcome.error is None and not outcome.killed:
            world.memory.acknowledged.append(webhook.id)

    def _until_quiet(self) -> None:
        for seconds in TURNS_SECONDS:
            self._minute()
            if not self._world.value(_WAITING):
                return
            self._world.turn(seconds)
        # The first round does what the last turn made due; the second handles what came of it.
        for _ in range(2):
            self._minute()
            self._world.turn(61)

    def _minute(self) -> None:
        """Let every schedule tick, and let the worker take what is in its queue."""
        world = self._world
        self._banks_decide()
        for step in (steps.watch_everything, steps.keep_all_dead_letters, steps.expire, steps.relay):
            self._do("system", step)
        world.collect()
        queue, world.memory.queue = world.memory.queue, []
        for message in queue:
            trap = POISON if is_poisoned(world, message.event_id) else None
            self._do("app", steps.apply_by_id, str(shop.ORGANIZATION), message.event_id, trap=trap)
        self._post_arrives()
        self._do("system", steps.relay)
        world.collect()

    def _banks_decide(self) -> None:
        """Let pending refunds succeed or fail, and let authorizations that were held for too long expire."""
        world = self._world
        for intent in world.intents():
            for refund in intent["refunds"]:
                if refund["status"] == "pending":
                    verb = "succeed" if self._chance.random() < 0.7 else "fail"
                    world.gateway.ask("POST", f"/_control/refunds/{refund['id']}/{verb}")
            for charge in intent["charges"]:
                until = charge["payment_method_details"]["card"].get("capture_before")
                if intent["status"] == "requires_capture" and until and until < world.now.timestamp():
                    world.gateway.ask("POST", f"/_control/payment_intents/{intent['id']}/expire")
        world.collect()

    def _people_finish(self) -> None:
        """Mark every dead letter ready and replay it, until none is left or the rounds are used up."""
        world = self._world
        for _ in range(ROUNDS_MAX):
            letters = world.rows(_LETTERS)
            if not letters:
                return
            for letter in letters:
                world.turn(1)
                self._do("app", steps.heal, shop.MANAGER, letter["id"])
            world.collect()
            self._until_quiet()

    def _books_are_compared(self) -> None:
        """Let the comparison with the gateway find what no webhook reported."""
        for _ in range(_DAYS):
            self._world.turn(86_400)
            self._do("system", steps.watch_the_books)
            self._world.collect()
            self._until_quiet()
            self._people_finish()

    def _do(self, role: str, step: Step, *arguments: object, trap: Trap | None = None) -> Outcome:
        world = self._world
        self._number += 1
        task = Task(role, world.now, step, arguments, f"rest/{world.plan.seed}/{self._number}", trap)
        actor = world.actors[0]
        actor.begin(task)
        outcome = actor.finish()
        world.note(0, task, outcome, None)
        if outcome.trapped_at is not None:
            world.counts["fault: kill the process, poison"] += 1
        elif outcome.killed:
            raise RuntimeError(f"the process of {step.__name__} died, and nothing was meant to kill it")
        if outcome.error is not None:
            world.tell(f"    {step.__name__}: {outcome.error}: {outcome.detail[:160]}")
        return outcome
