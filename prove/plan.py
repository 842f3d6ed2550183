"""What happens in a seed, decided before it begins: who does what, when, and what goes wrong there.

A plan is drawn from its seed alone. Which order a refund is about is decided when its turn comes, by dice that belong
to the move, among the orders that exist then. So the same plan over the same system tells the same story.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from prove.scenes import SCENES, Scene
from prove.trap import Among, Deed, Trap

ACTIONS_MIN: Final = 200
FAULTS_MIN: Final = 20
DRAWN: Final = 175
"""How many moves are drawn. The scenes bring them above ``ACTIONS_MIN``, because some moves find nothing to do."""

OPENING: Final = 12
"""How many moves it takes until there is something to work on."""
CERTAIN: Final[Mapping[int, str]] = {
    **dict.fromkeys((20, 100), "poison_event"),
    **dict.fromkeys((24, 28, 32, 70, 120), "break_event"),
    72: "write_error_class",
}
"""Moves that every seed contains, by their place, apart from those of the scenes."""
_OPENING: Final = ("checkout", "checkout", "checkout", "request_transfer", "work_off_message", "bring_webhook")

KINDS: Final[Mapping[str, float]] = {
    # shoppers
    "checkout": 18,
    "repeat_a_request": 7,
    "reuse_a_key": 1,
    "pay_again": 7,
    "cancel": 6,
    "complete_payment": 2,
    "choose_default_method": 1.5,
    "remove_method": 1,
    # gateway and network
    "shopper_authenticates": 4,
    "bring_webhook": 20,
    "bring_webhook_twice": 4,
    "lose_webhook": 2,
    "bring_forged_webhook": 1,
    "refund_comes_back": 2,
    "refund_arrives": 2,
    "shopper_disputes": 1,
    # workers
    "work_off_message": 20,
    "lose_message": 2,
    "poison_event": 1,
    "break_event": 1,
    "mend_events": 0.7,
    # operators
    "refund": 7,
    "capture": 3,
    "receive_goods": 9,
    "count_goods": 2,
    "break_goods": 1,
    "request_transfer": 5,
    "ship_transfer": 3,
    "receive_transfer": 3,
    "cancel_transfer": 1,
    "override_capacity": 1,
    "drop_override": 1,
    "work_on_dead_letter": 4,
    "replay_dead_letter": 5,
    "replay_group": 2,
    "write_error_class": 1,
    "let_class_replay": 1,
    # parcels and where they go
    "pick_shipment": 3,
    "pack_shipment": 2,
    "call_off_shipment": 1,
    "ship_parcel": 6,
    "deliver_parcel": 3,
    "lose_parcel": 1.5,
    "send_parcel_again": 1,
    "change_address": 4,
    # schedules
    "expiry": 6,
    "watchdog": 6,
    "dlq_retries": 4,
    "relay": 4,
    "money_watchdog": 1,
    "capacity_watch": 1,
    "housekeeping": 0.5,
    "ledger_check": 0.5,
    # time and the server
    "hours_pass": 2,
    "restart_database": 0.25,
}
MASTER_KINDS: Final = frozenset(
    {"shopper_authenticates", "lose_webhook", "refund_comes_back", "refund_arrives", "shopper_disputes", "lose_message",
     "poison_event", "break_event", "break_next_event", "mend_events", "hours_pass", "restart_database"}
)  # fmt: skip
"""What no process of the system does: the outside world, and time."""

TOGETHER: Final[tuple[tuple[str, str, float], ...]] = (
    ("checkout", "checkout", 8),
    ("checkout", "same", 3),
    ("checkout", "count_goods", 1),
    ("checkout", "ship_transfer", 1),
    ("checkout", "watchdog", 1),
    ("checkout", "bring_webhook", 1),
    ("pay_again", "pay_again", 3),
    ("pay_again", "same", 1),
    ("pay_again", "cancel", 2),
    ("pay_again", "expiry", 2),
    ("pay_again", "work_off_message", 1),
    ("pay_again", "watchdog", 1),
    ("cancel", "work_off_message", 2),
    ("cancel", "refund", 2),
    ("cancel", "cancel", 1),
    ("cancel", "same", 1),
    ("cancel", "watchdog", 1),
    ("refund", "refund", 4),
    ("refund", "same", 2),
    ("refund", "cancel", 2),
    ("refund", "watchdog", 1),
    ("capture", "cancel", 2),
    ("capture", "capture", 1),
    ("capture", "watchdog", 1),
    ("work_off_message", "same", 2),
    ("work_off_message", "work_off_message", 2),
    ("work_off_message", "expiry", 1),
    ("work_off_message", "pay_again", 1),
    ("work_off_message", "cancel", 1),
    ("bring_webhook", "same", 2),
    ("expiry", "same", 1),
    ("expiry", "pay_again", 1),
    ("expiry", "work_off_message", 1),
    ("watchdog", "same", 1),
    ("watchdog", "cancel", 1),
    ("watchdog", "pay_again", 1),
    ("watchdog", "work_off_message", 1),
    ("relay", "same", 1),
    ("dlq_retries", "same", 1),
    ("dlq_retries", "replay_dead_letter", 1),
    ("replay_dead_letter", "replay_dead_letter", 6),
    ("replay_dead_letter", "work_on_dead_letter", 2),
    ("ship_transfer", "ship_transfer", 5),
    ("ship_transfer", "checkout", 1),
    ("ship_transfer", "same", 1),
    ("receive_transfer", "receive_transfer", 2),
    ("receive_transfer", "cancel_transfer", 2),
    ("ship_transfer", "cancel_transfer", 1),
    ("count_goods", "checkout", 1),
    ("ship_parcel", "cancel", 2),
    ("ship_parcel", "same", 1),
    ("ship_parcel", "refund", 1),
    ("ship_parcel", "ship_parcel", 1),
    ("ship_parcel", "watchdog", 1),
    ("pick_shipment", "change_address", 2),
    ("pick_shipment", "cancel", 1),
    ("deliver_parcel", "refund", 1),
    ("change_address", "pick_shipment", 1),
    ("change_address", "cancel", 1),
    ("change_address", "refund", 1),
    ("change_address", "work_off_message", 1),
    ("change_address", "checkout", 1),
    ("pay_again", "change_address", 1),
    ("override_capacity", "override_capacity", 1),
)
"""The pairs that may meet, with their weights. The first pauses somewhere while the second happens; ``same`` is the
very same request again."""

_DEEDS: Final = (
    (Deed.KILL_PROCESS, Among.ALL, 10, 6),
    (Deed.KILL_PROCESS, Among.COMMITS, 3, 5),
    (Deed.KILL_PROCESS, Among.CALLS, 2, 2),
    (Deed.END_CONNECTION, Among.STATEMENTS, 5, 2),
    (Deed.LOSE_ANSWER, Among.COMMITS, 3, 4),
    (Deed.LOSE_ANSWER, Among.STATEMENTS, 4, 1),
    (Deed.REFUSE_40001, Among.STATEMENTS, 5, 2),
    (Deed.REFUSE_40P01, Among.STATEMENTS, 5, 2),
    (Deed.CRASH_SERVER, Among.STATEMENTS, 4, 0.15),
)
"""What is done, which points are counted, the latest point at which it is done, and its weight."""
_GATEWAY: Final[tuple[tuple[str, dict[str, object], float], ...]] = (
    ("gateway timeout before", {"fault": "timeout_before"}, 3),
    ("gateway timeout after", {"fault": "timeout_after"}, 4),
    ("gateway answers 500", {"http_status": 500}, 1),
    ("gateway answers 500 after", {"http_status": 500, "execute": True}, 1),
    ("gateway answers 429", {"http_status": 429}, 1),
    ("gateway declines", {"decline_code": "generic_decline"}, 1),
    ("gateway is silent twice", {"fault": "timeout_after", "times": 2}, 1),
)
_CALLS_GATEWAY: Final = frozenset(
    {"checkout", "pay_again", "cancel", "refund", "capture", "watchdog", "repeat_a_request"}
)
_TRAPPED_SHARE: Final = 0.3
_GATEWAY_SHARE: Final = 0.3
_AWS_SHARE: Final = 0.04
_TOGETHER_SHARE: Final = 0.3
_STANDS: Final = (1, 2, 2, 3, 3, 4, 4, 5, 6)
_STANDS_OF: Final = {"checkout": (2, 2, 2, 2, 2, 1, 3, 5), "ship_transfer": (2, 4, 5, 6, 6, 7, 7)}
"""Before which statement the first of a pair pauses. A checkout pauses preferably between its reads and its writes, a
transfer preferably while it holds its stock levels."""


@dataclass(frozen=True, slots=True)
class Move:
    """One action, and what is to go wrong with it."""

    number: int
    kind: str
    dice: str
    seconds: float = 0.0
    """By how much the clock advances before the move."""
    skew_seconds: float = 0.0
    """By how much the clock of the move's process is wrong."""
    trap: Trap | None = None
    gateway: str | None = None
    aws: str | None = None
    meanwhile: tuple["Move", ...] = field(default=())
    """What happens while this move is paused."""
    scene: str | None = None
    """The scene that the move belongs to, if any. All moves of a scene are about the same things."""

    def told(self) -> str:
        """Return the move as a line of the plan."""
        words = [f"{self.number:03d} +{self.seconds:.1f} s {self.kind}"]
        words += [f"({self.scene})"] if self.scene else []
        if self.trap:
            words.append(f"[{self.trap.deed} at {self.trap.among} {self.trap.at}]")
        words += [f"[{each}]" for each in (self.gateway, self.aws and f"aws {self.aws}") if each]
        words += [f"meanwhile {other.told()}" for other in self.meanwhile]
        return " ".join(words)


@dataclass(frozen=True, slots=True)
class Plan:
    """The moves of a seed, and the shop in which they happen."""

    seed: str
    capture_policy: str
    hold_seconds: int
    moves: tuple[Move, ...]
    echoes: bool
    """Whether every webhook there ever was is delivered once more when all is at rest."""
    years: bool
    """Whether years go by after that."""

    def told(self) -> str:
        """Return the whole plan as text, to be read or kept."""
        head = f"seed {self.seed}: {self.capture_policy}, holds of {self.hold_seconds} s"
        return "\n".join([head, *(move.told() for move in self.moves)])


def behavior_of(name: str) -> dict[str, object]:
    """Return the behavior that the gateway is told for the fault of this name."""
    return next(command for known, command, _ in _GATEWAY if known == name)


def process_faults() -> list[str]:
    """Return the names, as they are counted, of what may be done to a process and its connection."""
    return [f"{deed}, {among}" for deed, among, *_ in _DEEDS]


def gateway_faults() -> list[str]:
    """Return the names, as they are counted, of the faults that a gateway may be told."""
    return [name for name, *_ in _GATEWAY]


def make_plan(seed: str) -> Plan:
    """Make the plan of a seed. The same seed always has the same plan."""
    dice = random.Random(f"plan/{seed}")
    return Plan(
        seed=seed,
        capture_policy=dice.choice(("at_once", "at_once", "at_first_shipment", "per_shipment")),
        hold_seconds=dice.choice((300, 900)),
        moves=tuple(_moves(dice, seed)),
        echoes=dice.random() < 0.3,
        years=dice.random() < 0.5,
    )


def _moves(dice: random.Random, seed: str) -> Iterator[Move]:
    """Yield the drawn moves with the scenes in between, which are at different places in each seed."""
    scenes = dice.sample(SCENES, len(SCENES))
    places = sorted(dice.sample(range(OPENING, DRAWN), len(scenes)))
    number = 0
    for drawn in range(1, DRAWN + 1):
        number += 1
        yield _move(dice, seed, number, drawn)
        while places and places[0] == drawn:
            places.pop(0)
            for move in _played(scenes.pop(), seed, number):
                number = move.number
                yield move


def _played(scene: Scene, seed: str, number: int) -> Iterator[Move]:
    for at, step in enumerate(scene.steps, start=number + 1):
        name = f"{seed}/{at}"
        meanwhile: tuple[Move, ...] = ()
        if step.meanwhile is not None:
            meanwhile = (Move(at, step.meanwhile, f"{name}b", step.seconds, scene=scene.name),)
        yield Move(
            at, step.kind, name, step.seconds, 0.0, step.trap, step.gateway, step.aws, meanwhile, scene=scene.name
        )


def _move(dice: random.Random, seed: str, number: int, drawn: int) -> Move:
    if drawn in CERTAIN:
        return Move(number, CERTAIN[drawn], f"{seed}/{number}", _pause(dice))
    if drawn <= OPENING:
        return _simple(dice, f"{seed}/{number}", number, dice.choice(_OPENING), share=0.3)
    if dice.random() < _TOGETHER_SHARE:
        first, second, _ = dice.choices(TOGETHER, [weight for *_, weight in TOGETHER])[0]
        trap = Trap(dice.choice(_STANDS_OF.get(first, _STANDS)), Deed.PAUSE, Among.STATEMENTS)
        if first in _CALLS_GATEWAY and dice.random() < 0.3:
            trap = Trap(dice.randint(1, 2), Deed.PAUSE, Among.CALLS)
        other = _simple(dice, f"{seed}/{number}b", number, second, share=0.5)
        return Move(number, first, f"{seed}/{number}", _pause(dice), trap=trap, meanwhile=(other,))
    kind = dice.choices(list(KINDS), list(KINDS.values()))[0]
    return _simple(dice, f"{seed}/{number}", number, kind, share=1.0)


def _simple(dice: random.Random, name: str, number: int, kind: str, *, share: float) -> Move:
    """Draw one move. ``share`` is the part of the usual probability of trouble that it gets."""
    trap = gateway = aws = None
    drawn, which, skew = dice.random(), dice.random(), dice.uniform(-2, 2)
    seconds = _pause(dice)
    if kind not in MASTER_KINDS:
        if drawn < _TRAPPED_SHARE * share:
            deed, among, at_max, _ = dice.choices(_DEEDS, [weight for *_, weight in _DEEDS])[0]
            trap = Trap(dice.randint(1, at_max), deed, among)
        if which < _AWS_SHARE * share:
            aws = dice.choice(("down", "refuses"))
        elif kind in _CALLS_GATEWAY and which < (_AWS_SHARE + _GATEWAY_SHARE) * share:
            gateway = dice.choices([fault for fault, *_ in _GATEWAY], [weight for *_, weight in _GATEWAY])[0]
    return Move(number, kind, name, seconds, skew, trap, gateway, aws)


def _pause(dice: random.Random) -> float:
    """Draw a pause in seconds: mostly moments, sometimes minutes, so that holds and leases expire within a plan."""
    return round(dice.choice((0.05, 0.4, 2.0, 2.0, 15.0, 45.0, 95.0)) * dice.uniform(0.5, 1.5), 3)
