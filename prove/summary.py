"""What is printed at the end: the invariants, how often what happened, and the mutations."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from prove.crew import Caught
from prove.mutations import BY_NAME
from prove.plan import ACTIONS_MIN, FAULTS_MIN, KINDS, gateway_faults, process_faults
from prove.scenes import ACTIONS, SCENES
from prove.site import Told

WHOLE_RUN_SEEDS: Final = 20
"""In a run of this many seeds, nothing that is expected may be missing."""

TRANSITIONS: Final = (
    "order: pending_payment -> payment_processing",
    "order: pending_payment -> payment_failed",
    "order: pending_payment -> cancelled",
    "order: payment_processing -> payment_confirmed",
    "order: payment_processing -> payment_failed",
    "order: payment_processing -> cancelled",
    "order: payment_failed -> pending_payment",
    "order: payment_failed -> cancelled",
    "order: payment_confirmed -> confirmed",
    "order: confirmed -> cancelled",
    *(f"payment: {status}" for status in ("captured", "partially_refunded", "refunded", "failed", "cancelled")),
    "hold: completed, paid",
    "hold: expired, hold expired",
    "hold: completed, paid late; the stock was reserved again",
    "hold: cancelled, cancelled by the shopper",
    *(f"refund: {status}" for status in ("succeeded", "failed")),
    *(f"operation: {name}, done" for name in ("return_money", "refund", "capture")),
    "operation: return_money, failed",
    *(f"movement: {name}" for name in ("receive", "adjustment", "damage", "reserve", "release", "sale", "return",
                                       "transfer_out", "transfer_in")),
    *(f"transfer: {status}" for status in ("pending", "in_transit", "completed", "cancelled")),
    "event: capture_succeeded, processed",
    "event: authorization_failed, processed",
    "event: refund_succeeded, processed",
    "event: refund_failed, processed",
    "event: action_required, processed",
    "event: cancellation_succeeded, processed",
    "event: dispute_opened, processed",
    "event: dispute_closed, processed",
    "dead letter: dead_lettered -> pending_classification",
    "dead letter: dead_lettered -> pending_review",
    "dead letter: replay_failed -> pending_review",
    "dead letter: replayed -> replayed",
    "dead letter: made_ready -> ready_for_replay",
    "dead letter: dead_lettered -> auto_replay_scheduled",
    "person called: LatePayment",
    "person called: RefundFailed",
)  # fmt: skip
OTHER_FAULTS: Final = (
    "aws down", "aws refuses", "clock jump", "database restarted", "two at once", "kill the process, poison",
    "event broken", "event poisoned", "message delivered twice", "message lost", "webhook lost", "webhook forged",
)  # fmt: skip
OUTCOMES: Final = (
    "place: 201", "place: 402", "place: OutOfStock", "place: IdempotencyKeyReused", "place: RequestInProgress",
    "pay: 201", "pay: 402", "pay: Conflict", "cancel: 200", "refund: 201", "refund: RefundExceeds", "capture: 200",
    "change_goods: 201", "change_goods: Conflict", "ship_transfer: 201", "override_capacity: 201",
    "override_capacity: Conflict", "receive: SignatureInvalid", "replay: Conflict",
)  # fmt: skip
"""Outcomes that show that a guard refused something: each refusal names one."""


OF_MAILS: Final = (
    "action notify",
    "together: notify + same",
    *(f"fault: notify, {deed}" for deed in ("kill the process", "lose the answer", "pause")),
    *(f"outside: mail {fate}" for fate in ("bounced", "bounced_for_now", "complained")),
    *(f"transition mail: order_confirmed, {status}" for status in ("sent", "suppressed", "skipped")),
    "transition mail: order_refunded, sent",
    "transition mail: order_cancelled, sent",
)
IN_YEARS: Final = (
    *(f"action {name}" for name in ("archival", "verification", "cold_export", "bring_back")),
    *(f"fault: archival, {deed}" for deed in ("kill the process", "lose the answer", "end the connection", "pause")),
    "fault: cold_export, kill the process",
    "fault: leap of years",
    "outside: late news, archived",
    "outside: late news, cold_storage",
)
CONSTRAINTS: Final = ("constraint capacity_overrides_do_not_overlap",)
"""The constraint that is the only layer of its rule. Every other constraint stands behind a lock or a check that
refuses first; what those would refuse is tested by switching the lock or check off."""


def expected() -> list[str]:
    """Return the names of everything that must have happened in a whole run."""
    return [
        *(f"action {kind}" for kind in sorted({*KINDS, *ACTIONS})),
        *(f"together: {scene.name}" for scene in SCENES if any(step.meanwhile for step in scene.steps)),
        *OF_MAILS,
        *IN_YEARS,
        *CONSTRAINTS,
        *(f"fault: {name}" for name in (*process_faults(), *gateway_faults(), *OTHER_FAULTS)),
        *(f"transition {name}" for name in TRANSITIONS),
        *(f"outcome {name}" for name in OUTCOMES),
    ]


def add_up(told: Sequence[Told]) -> Counter[str]:
    """Add up how often what happened, over all seeds."""
    counts: Counter[str] = Counter()
    for each in told:
        counts += each.counts
    return counts


def too_tame(told: Told) -> str | None:
    """Say what a seed lacks when it had too few actions or faults. Return ``None`` otherwise."""
    actions = sum(number for name, number in told.counts.items() if name.startswith("action "))
    faults = sum(number for name, number in told.counts.items() if name.startswith("fault: "))
    if actions >= ACTIONS_MIN and faults >= FAULTS_MIN:
        return None
    return f"seed {told.plan.seed} had {actions} actions and {faults} faults: {ACTIONS_MIN} and {FAULTS_MIN} are due"


def invariants(told: Sequence[Told]) -> Iterator[str]:
    """Yield a line for each invariant, with the number of rows that break it over all seeds."""
    broken: Counter[tuple[str, str]] = Counter()
    for each in told:
        for finding in each.findings:
            broken[finding.area, finding.sentence] += finding.rows
    area = ""
    for (where, sentence), rows in broken.items():
        if where != area:
            area = where
            yield f"\n{area}"
        yield f"  {rows:>5}  {sentence}"


def violations(told: Sequence[Told]) -> Iterator[str]:
    """Yield each broken invariant with its seed and its first rows."""
    for each in told:
        for finding in each.violated:
            yield f"VIOLATED in seed {each.plan.seed}: {finding.sentence} ({finding.rows} rows)"
            yield from (f"    {row[:700]}" for row in finding.first)


def happenings(counts: Counter[str]) -> Iterator[str]:
    """Yield what happened and how often, by kind."""
    for begin, title in (
        ("action ", "actions"),
        ("fault: ", "faults"),
        ("together: ", "two at once"),
        ("transition ", "transitions"),
        ("outcome ", "outcomes"),
        ("constraint ", "constraints of the database that refused something"),
    ):
        chosen = {name.removeprefix(begin): number for name, number in counts.items() if name.startswith(begin)}
        yield f"\n{title}: {sum(chosen.values())}"
        yield "  " + ", ".join(f"{name} {number}" for name, number in sorted(chosen.items()))


def mutations(caught: Sequence[Caught]) -> Iterator[str]:
    """Yield the mutations as a Markdown table, one row each."""
    yield "| guard | switched off | caught by | seeds | seconds |"
    yield "|---|---|---|---|---|"
    for each in caught:
        by = "; ".join(each.by) if each.by else "**not caught**"
        yield f"| `{each.name}` | {BY_NAME[each.name].layers} | {by} | {each.seeds} | {each.seconds:.0f} |"
