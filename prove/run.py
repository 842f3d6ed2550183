"""Plays a plan move by move, with the moves that meet and whatever the plan lets go wrong."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from holdfast.flows.claims.idempotency import Answer
from prove import operators, outside, parcels, shoppers, steps
from prove.actors import Outcome, Task, run_together
from prove.plan import MASTER_KINDS, Move, behavior_of
from prove.stage import Focus, Make, Stage
from prove.telling import about, short
from prove.trap import Deed
from prove.world import World, skewed

_OTHERWISE: Final = dict.fromkeys(("ship_transfer", "receive_transfer", "cancel_transfer"), "request_transfer")
"""What is done instead when a move finds nothing to do. For every other move, somebody buys."""
TASKS: Final[Mapping[str, Make]] = {
    **operators.SCHEDULES,
    **{
        make.__name__: make
        for make in (
            shoppers.checkout,
            shoppers.buy,
            shoppers.repeat_a_request,
            shoppers.reuse_a_key,
            shoppers.pay_again,
            shoppers.cancel,
            shoppers.complete_payment,
            shoppers.choose_default_method,
            shoppers.remove_method,
            shoppers.same,
            outside.bring_webhook,
            outside.bring_webhook_twice,
            outside.bring_forged_webhook,
            outside.work_off_message,
            parcels.pick_shipment,
            parcels.pack_shipment,
            parcels.call_off_shipment,
            parcels.ship_parcel,
            parcels.deliver_parcel,
            parcels.lose_parcel,
            parcels.send_parcel_again,
            parcels.change_address,
            operators.refund,
            operators.refund_all,
            operators.refund_amount,
            operators.return_piece,
            operators.capture,
            operators.receive_goods,
            operators.count_goods,
            operators.break_goods,
            operators.request_transfer,
            operators.ship_transfer,
            operators.receive_transfer,
            operators.cancel_transfer,
            operators.override_capacity,
            operators.drop_override,
            operators.work_on_dead_letter,
            operators.make_ready,
            operators.replay_dead_letter,
            operators.replay_group,
            operators.write_error_class,
            operators.let_class_replay,
        )
    },
}
_OUTSIDE: Final[Mapping[str, Callable[[Stage], None]]] = {
    act.__name__: act
    for act in (
        outside.shopper_authenticates,
        outside.lose_webhook,
        outside.refund_comes_back,
        outside.refund_arrives,
        outside.shopper_disputes,
        outside.lose_message,
        outside.poison_event,
        outside.break_event,
        outside.break_next_event,
        outside.mend_events,
        outside.hours_pass,
    )
}


@dataclass(frozen=True, slots=True)
class _Begun:
    """A move with its task."""

    stage: Stage
    task: Task


class Run:
    """Plays the moves of one world. ``restart`` stops its database immediately and starts it again."""

    def __init__(self, world: World, restart: Callable[[], None]) -> None:
        self._world = world
        self._restart = restart
        self._scenes: dict[str, Focus] = {}

    def play(self, move: Move) -> None:
        """Play one move, with everything that happens meanwhile."""
        world = self._world
        world.turn(move.seconds)
        focus = self._scenes.setdefault(move.scene, Focus()) if move.scene else Focus()
        if move.kind in MASTER_KINDS:
            self._act_outside(move, focus)
            return
        begun = self._begin(move, focus)
        if begun is None and move.scene:
            return
        if begun is None:
            begun = self._begin(replace(move, kind=_OTHERWISE.get(move.kind, "checkout"), meanwhile=()), Focus())
        assert begun is not None
        world.tell(f"{move.told()}  {about(begun.task)}")
        self._behave(move)
        focus.task, focus.request = begun.task, begun.stage.request
        others = [each for each in (self._meanwhile(other, focus) for other in move.meanwhile) if each is not None]
        outcomes, stood_still = run_together(
            (world.actors[0], begun.task),
            [(actor, other.task) for actor, other in zip(world.actors[1:], others, strict=False)],
            world.somebody_waits,
        )
        if stood_still and others:
            world.counts["fault: two at once"] += 1
            world.counts[f"together: {move.scene or f'{move.kind} + {move.meanwhile[0].kind}'}"] += 1
        for each, outcome in zip((begun, *others), outcomes, strict=True):
            self._note(each, outcome)
        self._misbehaved(move)

    def _meanwhile(self, move: Move, focus: Focus) -> _Begun | None:
        world = self._world
        if move.kind in MASTER_KINDS:
            self._act_outside(move, focus)
            return None
        begun = self._begin(move, focus)
        if begun is not None:
            world.tell(f"  meanwhile {move.told()}  {about(begun.task)}")
        return begun

    def _begin(self, move: Move, focus: Focus) -> _Begun | None:
        stage = Stage(self._world, move, focus)
        task = TASKS[move.kind](stage)
        if task is None:
            return None
        self._world.counts[f"action {move.kind}"] += 1
        if stage.poison:
            task = replace(task, trap=outside.POISON)
        return _Begun(stage, skewed(task, move.skew_seconds))

    def _act_outside(self, move: Move, focus: Focus) -> None:
        self._world.tell(move.told())
        self._world.counts[f"action {move.kind}"] += 1
        if move.kind == "restart_database":
            self._restart()
            self._world.counts["fault: database restarted"] += 1
        else:
            _OUTSIDE[move.kind](Stage(self._world, move, focus))

    def _behave(self, move: Move) -> None:
        if move.gateway is not None:
            self._world.gateway.ask("POST", "/_control/behaviors", behavior_of(move.gateway))

    def _misbehaved(self, move: Move) -> None:
        """Count the gateway's fault if it was used, and clear it: the gateway behaves well again."""
        if move.gateway is None:
            return
        left = self._world.gateway.ask("GET", "/_control/behaviors")
        if not any(behavior["used"] == 0 for behavior in left):
            self._world.counts[f"fault: {move.gateway}"] += 1
        self._world.gateway.ask("DELETE", "/_control/behaviors")

    def _acknowledged(self, begun: _Begun) -> None:
        webhook = begun.stage.focus.webhook
        if webhook is not None:
            self._world.memory.acknowledged.append(webhook.id)

    def _note(self, begun: _Begun, outcome: Outcome) -> None:
        world, move = self._world, begun.stage.move
        world.note(move.number, begun.task, outcome, begun.stage.request)
        if move.scene:
            _remember(begun.stage.focus, outcome)
        if (
            begun.task.step is steps.receive
            and outcome.error is None
            and not outcome.killed
            and outcome.result is not None
        ):
            self._acknowledged(begun)
        if outcome.trapped_at is not None and begun.task.trap is not None:
            trap = begun.task.trap
            where = "poison" if trap is outside.POISON else str(trap.among)
            if trap.deed is not Deed.PAUSE:
                world.counts[f"fault: {trap.deed}, {where}"] += 1
            world.tell(f"    {trap.deed} {outcome.trapped_at}")
        if move.aws is not None:
            world.counts[f"fault: aws {move.aws}"] += 1
        if outcome.error is not None:
            world.tell(f"    {begun.task.step.__name__}: {outcome.error}: {outcome.detail[:160]}")
        elif not outcome.killed:
            world.tell(f"    {begun.task.step.__name__}: {short(outcome.result)}")


def _remember(focus: Focus, outcome: Outcome) -> None:
    """Remember what the next step of a scene is about."""
    if isinstance(outcome.result, Answer) and outcome.result.status < 300:
        body = json.loads(outcome.result.body)
        if "order" in body:
            focus.order_id = UUID(body["order"]["id"])
        if "transfer" in body:
            focus.transfer_id = UUID(body["transfer"]["id"])
