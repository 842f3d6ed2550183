"""A dry run reports exactly what saving then does, whatever the classes are and whatever waits."""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast.flows.dead_letters.change_error_classes import Proposal, change_error_class, create_error_class
from holdfast.flows.dead_letters.try_error_class import SAMPLE_MAX_ROWS, try_error_class
from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.values.payment_events import EventType
from tests.flows.letters import manager, put_letter
from tests.house import House

CODES: Final = [None, "conflict", "invalid_input", "card_declined", "100%"]
REASONS: Final = ["ConnectionLost: the connection is gone", "KeyError: 'amount'", "Conflict: A REFUND is under way", ""]
KINDS: Final = [EventType.CAPTURE_SUCCEEDED, EventType.CAPTURE_FAILED, EventType.DISPUTE_OPENED]
GATEWAYS: Final = ["stripe", "paypal", "square", "adyen"]

PROPOSALS: Final = st.builds(
    Proposal,
    class_name=st.just("proposed"),
    description=st.none(),
    match_order=st.none() | st.integers(1, 6),
    event_type=st.none() | st.sampled_from([str(kind) for kind in KINDS]),
    gateway_pattern=st.none() | st.sampled_from(["stripe", "%a%", "s_____", "%"]),
    failure_code_pattern=st.none() | st.sampled_from(["%", "con%", "100\\%", "card\\_%", "_onflict"]),
    message_keywords=st.lists(st.sampled_from(["connection", "GONE", "amount", "refund", ":"]), max_size=2).map(tuple),
    auto_replay_delay_seconds=st.just(300),
    min_confidence=st.sampled_from([0.0, 85.0, 95.0]),
)
LETTERS: Final = st.lists(
    st.fixed_dictionaries(
        {
            "event_type": st.sampled_from(KINDS),
            "status": st.sampled_from(list(DeadLetterStatus)),
            "reason": st.sampled_from(REASONS),
            "failure_code": st.sampled_from(CODES),
            "gateway": st.sampled_from(GATEWAYS),
            "replays": st.sampled_from([0, 0, 2]),
            "assigned_to": st.sampled_from([None, None, "grace"]),
        }
    ),
    max_size=8,
)
RECORDS: Final = st.sampled_from([(0, 0), (10, 0), (17, 3), (10, 9)])


def clear(house: House) -> None:
    """Delete everything that was given up, and the error classes."""
    for table in ("dead_letter_history", "dead_letters", "payment_events", "error_classes"):
        house.sql(f"DELETE FROM payments.{table}")


def pile(house: House) -> Mapping[UUID, tuple[Any, ...]]:
    """Return where each dead letter is, by its id."""
    rows = house.rows("SELECT id, status, error_class_id, replay_at, version FROM payments.dead_letters")
    return {row["id"]: tuple(row.values()) for row in rows}


@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    others=st.lists(st.tuples(PROPOSALS, RECORDS, st.booleans()), max_size=3),
    letters=LETTERS,
    proposal=PROPOSALS,
    changes=st.none() | st.integers(0, 2),
)
def test_a_dry_run_tells_exactly_what_saving_does(
    house: House,
    others: list[tuple[Proposal, tuple[int, int], bool]],
    letters: list[dict[str, Any]],
    proposal: Proposal,
    changes: int | None,
) -> None:
    clear(house)
    boss = manager(house, f"m{house.value('SELECT count(*) FROM tenancy.users')}")
    for number, (other, (successes, failures), switched_on) in enumerate(others):
        house.clock.advance(seconds=1)
        named = Proposal(**{**fields_of(other), "class_name": f"other {number}"})
        made = create_error_class(house.runtime, boss, named, house.clock())["error_class"]
        earned = successes >= 10 and 100 * successes >= other.min_confidence * (successes + failures)
        house.sql(
            "UPDATE payments.error_classes SET successful_replays = :s, failed_replays = :f, auto_replay_enabled = :on"
            " WHERE id = :id",
            s=successes,
            f=failures,
            on=switched_on and earned,
            id=UUID(made["id"]),
        )
    for each in letters:
        put_letter(house, **each)
    classes = house.rows("SELECT * FROM payments.error_classes ORDER BY match_order")
    replaced = classes[changes] if changes is not None and changes < len(classes) else None
    before = pile(house)
    now = house.clock()

    told = try_error_class(house.runtime, boss, proposal, None if replaced is None else replaced["id"], now)
    assert pile(house) == before
    assert house.rows("SELECT * FROM payments.error_classes ORDER BY match_order") == classes

    if replaced is None:
        saved = create_error_class(house.runtime, boss, proposal, now)
    else:
        saved = change_error_class(
            house.runtime, boss, replaced["id"], proposal, version=replaced["version"], active=True, now=now
        )

    mine = {
        key for key, row in pile(house).items() if str(row[2]) == saved["error_class"]["id"] and before[key][1] in WAITS
    }
    assert told["matching"] == len(mine)
    assert {UUID(each["id"]) for each in told["sample"]} == mine
    assert len(told["sample"]) <= SAMPLE_MAX_ROWS
    assert told["moving"] == saved["reclassified"]
    assert told["looked_at"] == sum(row[1] in WAITS for row in before.values())


WAITS: Final = {"pending_classification", "pending_review", "auto_replay_scheduled"}


def fields_of(proposal: Proposal) -> dict[str, Any]:
    """Return the values of a proposal by field."""
    return {name: getattr(proposal, name) for name in Proposal.__dataclass_fields__}
