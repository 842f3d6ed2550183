"""The outside world: what shoppers do at their bank, what banks decide later, and what the network does to messages."""

import hashlib
import hmac
from datetime import datetime, timedelta
from typing import Any, Final

from prove import shop, steps
from prove.actors import Task
from prove.stage import Stage
from prove.trap import Among, Deed, Trap
from prove.world import Message, Webhook, World

OLD_SECONDS: Final = 400
CURSED_SHARE: Final = 0.5
"""How often an event that is cursed is taken first, so that it runs its course within the plan."""
POISON: Final = Trap(1, Deed.KILL_PROCESS, Among.COMMITS, saying="checkout.settle")
"""The trap of a poisoned event. It kills whoever works on the event at the end of the work, long after the claim."""
_EVENT: Final = """
    SELECT e.gateway_event_id, p.order_id FROM payments.payment_events e
      LEFT JOIN payments.payments p ON p.organization_id = e.organization_id AND p.id = e.payment_id
     WHERE e.id = CAST(:id AS uuid)
"""


def signed(webhook: Webhook, at: datetime, *, secret: str = shop.WEBHOOK_SECRET) -> tuple[dict[str, str], bytes]:
    """Return the webhook as Stripe posts it: headers and body."""
    body, stamp = webhook.body.encode(), str(int(at.timestamp()))
    signature = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return {"stripe-signature": f"t={stamp},v1={signature}"}, body


def delivery(world: World, webhook: Webhook) -> tuple[str, dict[str, str], bytes]:
    """Return the arguments of the step that receives this webhook."""
    return shop.ENDPOINT_KEY, *signed(webhook, world.now)


def bring_webhook(stage: Stage) -> Task | None:
    """Deliver a webhook that is on its way, preferably an old one, and remove it from those on their way."""
    return _bring(stage, keep=False)


def bring_webhook_twice(stage: Stage) -> Task | None:
    """Deliver a webhook that will be delivered again later."""
    return _bring(stage, keep=True)


def _bring(stage: Stage, *, keep: bool) -> Task | None:
    mail = stage.world.memory.mail
    if not mail:
        return None
    cursed = [webhook for webhook in mail if webhook.id in stage.world.memory.cursed]
    chosen = cursed if cursed and stage.dice.random() < CURSED_SHARE else mail
    if stage.move.scene:
        chosen = cursed[-1:] or mail[-1:]
    webhook = chosen[int(stage.dice.random() ** 2 * len(chosen))]
    if not keep:
        mail.remove(webhook)
    stage.focus.webhook = webhook
    return stage.as_app(steps.receive, *delivery(stage.world, webhook))


def lose_webhook(stage: Stage) -> None:
    """Lose a webhook: it never arrives."""
    mail = stage.world.memory.mail
    if mail:
        mail.pop(int(stage.dice.random() * len(mail)))
        stage.world.counts["fault: webhook lost"] += 1


def bring_forged_webhook(stage: Stage) -> Task | None:
    """Deliver a webhook that is signed with a wrong key, too old or cut short. Nothing of it may be stored."""
    heard = stage.world.memory.heard
    if not heard:
        return None
    webhook = heard[int(stage.dice.random() * len(heard))]
    body = webhook.body.replace(webhook.id, f"{webhook.id}_forged")
    forged = Webhook(f"{webhook.id}_forged", webhook.type, webhook.payment, body)
    world = stage.world
    match stage.dice.randint(1, 3):
        case 1:
            headers, data = signed(forged, world.now, secret="whsec_wrong")
        case 2:
            headers, data = signed(forged, world.now - timedelta(seconds=OLD_SECONDS))
        case _:
            headers, data = signed(forged, world.now)
            data = data[:-20]
    world.counts["fault: webhook forged"] += 1
    return stage.as_app(steps.receive, shop.ENDPOINT_KEY, headers, data)


def shopper_authenticates(stage: Stage) -> None:
    """Let a shopper pass or fail 3-D Secure."""
    asked = [each for each in stage.world.intents() if each["status"] == "requires_action"]
    intent = stage.choose(asked)
    if intent is not None:
        succeed = stage.dice.random() < 0.8
        stage.world.gateway.ask("POST", f"/_control/payment_intents/{intent['id']}/authenticate", {"succeed": succeed})


def refund_comes_back(stage: Stage) -> None:
    """Let a refund come back from the bank, even one that had succeeded."""
    _decide_refund(stage, "fail", ("pending", "succeeded"))


def refund_arrives(stage: Stage) -> None:
    """Let a pending refund arrive."""
    _decide_refund(stage, "succeed", ("pending",))


def _decide_refund(stage: Stage, verb: str, statuses: tuple[str, ...]) -> None:
    cards = {"5126", "7726"} if verb == "fail" else {"7726"}
    found = [
        refund
        for intent in stage.world.intents()
        if any(charge["payment_method_details"]["card"]["last4"] in cards for charge in intent["charges"])
        for refund in intent["refunds"]
        if refund["status"] in statuses
    ]
    refund: dict[str, Any] | None = stage.choose(found)
    if refund is not None:
        stage.world.gateway.ask("POST", f"/_control/refunds/{refund['id']}/{verb}")
        stage.world.counts[f"outside: refund {verb}"] += 1


def shopper_disputes(stage: Stage) -> None:
    """Let a shopper dispute a payment: the bank takes the money back, is reviewing, or has decided for the shop."""
    taken = [each for each in stage.world.intents() if each["status"] == "succeeded"]
    intent = stage.choose(taken)
    if intent is not None:
        status = stage.dice.choice((None, "under_review", "won"))
        stage.world.gateway.ask("POST", f"/_control/payment_intents/{intent['id']}/dispute", {"status": status})
        stage.world.counts["outside: dispute"] += 1


def work_off_message(stage: Stage) -> Task | None:
    """Work off a message of the queue, preferably an old one.

    Sometimes it stays in the queue and is delivered again.
    """
    world = stage.world
    due = [message for message in world.memory.queue if message.due_at <= world.now]
    if not due:
        return None
    message = due[int(stage.dice.random() ** 2 * len(due))]
    if stage.move.scene:
        message = due[-1]
    elif stage.dice.random() < CURSED_SHARE:
        message = _cursed(world, due) or message
    if stage.focus.order_id is not None and not stage.move.scene:
        message = _about(world, due, stage.focus.order_id) or message
    if stage.move.scene or stage.dice.random() < 0.8:
        world.memory.queue.remove(message)
    else:
        world.counts["fault: message delivered twice"] += 1
    event = world.rows(_EVENT, id=message.event_id)[0]
    stage.focus.order_id = event["order_id"]
    stage.poison = event["gateway_event_id"] in world.memory.poisoned
    return stage.as_app(steps.apply_by_id, str(shop.ORGANIZATION), message.event_id)


def _cursed(world: World, messages: list[Message]) -> Message | None:
    rows = world.rows(
        "SELECT e.id FROM payments.payment_events e WHERE e.gateway_event_id = ANY (CAST(:names AS text[]))"
        " AND e.state IN ('pending', 'retry_scheduled')",
        names=sorted(world.memory.cursed),
    )
    wanted = {str(row["id"]) for row in rows}
    return next((message for message in messages if message.event_id in wanted), None)


def is_poisoned(world: World, event_id: str) -> bool:
    """Return whether this event kills whoever works on it."""
    return (
        bool(world.memory.poisoned) and world.rows(_EVENT, id=event_id)[0]["gateway_event_id"] in world.memory.poisoned
    )


def _about(world: World, messages: list[Message], order_id: object) -> Message | None:
    rows = world.rows(
        "SELECT e.id FROM payments.payment_events e JOIN payments.payments p"
        " ON p.organization_id = e.organization_id AND p.id = e.payment_id WHERE p.order_id = :order",
        order=order_id,
    )
    wanted = {str(row["id"]) for row in rows}
    return next((message for message in messages if message.event_id in wanted), None)


def lose_message(stage: Stage) -> None:
    """Lose a message of the queue."""
    queue = stage.world.memory.queue
    if queue:
        queue.pop(int(stage.dice.random() * len(queue)))
        stage.world.counts["fault: message lost"] += 1


def poison_event(stage: Stage) -> None:
    """Let the next event about money kill whoever works on it."""
    stage.world.memory.curses.append("poison")


def break_event(stage: Stage) -> None:
    """Let the next event about money fail to apply, whoever takes it on."""
    stage.world.memory.curses.append(stage.dice.choice(("22021", "22021", "23514")))


def break_next_event(stage: Stage) -> None:
    """Let the very next event about money fail to apply, with an error that no retry cures."""
    stage.world.memory.curses.insert(0, "22021")


def mend_events(stage: Stage) -> None:
    """Mend what was broken."""
    mend(stage.world)


def mend(world: World) -> None:
    """Mend whatever was broken or poisoned."""
    world.sql("DELETE FROM prove.breakage")
    world.memory.poisoned.clear()
    world.memory.curses.clear()


def hours_pass(stage: Stage) -> None:
    """Let the clock jump: past holds and leases, and once in a while past a whole day."""
    stage.world.turn(3600 * stage.dice.choice((0.3, 0.6, 1, 2.1, 5, 26)))
    stage.world.counts["fault: clock jump"] += 1
