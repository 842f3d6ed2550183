"""Scenes: short stories that every seed contains.

Whatever else a plan draws, somebody refunds the same money twice, two transfers cross, a bus is down. The steps of a
scene are about the same things: the order that was just placed, its event.

A scene stands somewhere in the plan, its steps one after the other. A step that finds nothing to do is left out.
"""

from dataclasses import dataclass
from typing import Final

from prove.trap import Among, Deed, Trap


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a scene. ``seconds`` is the time since the step before."""

    kind: str
    seconds: float = 0.5
    trap: Trap | None = None
    gateway: str | None = None
    aws: str | None = None
    meanwhile: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """``name`` is what is counted when two moves of the scene really met, or when its trouble really came."""

    name: str
    steps: tuple[Step, ...]


def _after(words: str) -> Trap:
    """Pause before the first statement that follows the point with these words."""
    return Trap(1, Deed.PAUSE, Among.STATEMENTS, after=words)


UNHEARD: Final = "gateway timeout after"
"""The gateway executed the request, but nobody received its answer."""
_SOLD: Final = (Step("receive_goods"), Step("buy"))
_PAID: Final = (*_SOLD, Step("capture"))
_WITH_A_LEVEL: Final = _after("s.on_hand, s.reserved")
_WITH_THE_ORDER: Final = _after("checkout.lock_order")
_WITH_THE_ANSWER: Final = Trap(
    1, Deed.PAUSE, Among.STATEMENTS, saying="checkout.settle", after="stripe POST /v1/refunds"
)
"""Pause with the gateway's answer: the refund is made there, the order is locked, and nothing of it is recorded yet."""
_WITH_THE_CLAIM: Final = _after("COMMIT")

SCENES: Final = (
    Scene(
        "transfers cross",
        (
            Step("request_transfer"),
            Step("request_transfer"),
            Step("ship_transfer", trap=_WITH_A_LEVEL, meanwhile="ship_transfer"),
        ),
    ),
    Scene("two give some back", (*_PAID, Step("refund_amount", trap=_WITH_THE_ANSWER, meanwhile="refund_amount"))),
    Scene(
        "two give everything back",
        (*_PAID, Step("refund_all", trap=_WITH_THE_ORDER, meanwhile="refund_all"), Step("refund_amount")),
    ),
    Scene(
        "a refund nobody heard of",
        (*_PAID, Step("refund_amount", gateway=UNHEARD), Step("watchdog", 900), Step("watchdog", 3_700)),
    ),
    Scene("it comes back piece by piece", (*_PAID, Step("return_piece"), Step("return_piece"), Step("cancel"))),
    Scene("one piece comes back, the rest is called off", (*_PAID, Step("return_piece"), Step("cancel"))),
    Scene(
        "paid and not written down",
        (
            Step("receive_goods"),
            Step("buy", trap=Trap(2, Deed.KILL_PROCESS, Among.COMMITS)),
            Step("expiry", 2.1 * 3_600),
        ),
    ),
    Scene(
        "two replay a dead letter",
        (
            Step("receive_goods"),
            Step("break_next_event"),
            Step("buy"),
            Step("bring_webhook"),
            Step("work_off_message"),
            Step("make_ready"),
            Step("replay_dead_letter", trap=_WITH_THE_CLAIM, meanwhile="replay_dead_letter"),
        ),
    ),
    Scene("the bus takes every other message", (*_SOLD, Step("relay", aws="refuses"))),
    Scene("the bus is away", (*_SOLD, Step("relay", aws="down"))),
    Scene("the relay dies before the bus hears", (*_SOLD, Step("relay", trap=Trap(1, Deed.KILL_PROCESS, Among.CALLS)))),
)
ACTIONS: Final = frozenset(
    kind for scene in SCENES for step in scene.steps for kind in (step.kind, step.meanwhile) if kind is not None
)
