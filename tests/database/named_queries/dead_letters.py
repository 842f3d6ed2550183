"""Named queries about dead letters, their error classes and their replays."""

from typing import Any
from uuid import UUID

from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import _due
from holdfast.flows.dead_letters.change_error_classes import Proposal
from holdfast.flows.dead_letters.classify_dead_letters import _waiting
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.flows.dead_letters.group_dead_letters import list_dead_letter_groups
from holdfast.flows.dead_letters.list_dead_letters import Filters, list_dead_letters
from holdfast.flows.dead_letters.replay_group import _next_of
from holdfast.flows.dead_letters.try_error_class import try_error_class
from holdfast.payments.dead_letters import DeadLetterStatus
from holdfast.runtime import Runtime
from tests.database.acting import SYSTEM
from tests.database.large_shop import Shop
from tests.database.named_queries.asking import Ask, Named, in_tenant, staff, statement


def dead_letters(**filters: Any) -> Ask:
    """Return a query for a page from the middle of the queue."""

    def ask(runtime: Runtime, shop: Shop) -> object:
        chosen = Filters(**filters)
        page = list_dead_letters(runtime, staff(shop), chosen, after=None, limit=5, now=shop.now)
        last = page["dead_letters"][-1]["id"]
        return list_dead_letters(runtime, staff(shop), chosen, after=UUID(last), limit=20, now=shop.now)

    return ask


ANY_CLASS = Proposal("any", None, 1, None, None, None, (), 300, 85.0)


def a_class(runtime: Runtime, shop: Shop) -> UUID:
    with runtime.database.transaction(shop.organization_id, now=shop.now) as transaction:
        found: UUID = transaction.value("SELECT id FROM payments.error_classes WHERE class_name = 'class 4'")
    return found


NAMED: dict[str, Named] = {
    "dead letters as a queue by status and priority": Named(dead_letters()),
    "dead letters of a class": Named(
        lambda r, s: dead_letters(error_class_id=a_class(r, s), status=DeadLetterStatus.REPLAYED)(r, s)
    ),
    "dead letters of an assignee": Named(dead_letters(assigned_to="a-staff-1")),
    "dead letters of one trouble": Named(
        in_tenant(lambda t, _: _next_of(t, "fingerprint-3", None)),
    ),
    "dead letters by trouble": Named(lambda r, s: list_dead_letter_groups(r, staff(s), 20, s.now), rows_max=600),
    "dead letters that a class would match": Named(
        lambda r, s: try_error_class(r, staff(s), ANY_CLASS, None, s.now), rows_max=1_000
    ),
    "group replays that are due": Named(
        statement(
            "SELECT organization_id, id FROM payments.group_replays WHERE state = 'running' AND next_at <= :now"
            " ORDER BY next_at LIMIT 20"
        ),
        SYSTEM,
    ),
    "dead letters that replay by themselves and are due": Named(lambda r, s: _due(r, s.now), SYSTEM),
    "dead letters whose alert was not sent": Named(
        lambda r, s: alert_dead_letters(r, lambda: s.now, lambda: 0.0), SYSTEM
    ),
    "dead letters that are open, or were resolved since yesterday": Named(
        lambda r, s: count_dead_letters(r, s.now), SYSTEM, 30_000
    ),
    "dead letters that wait, by the batch": Named(
        in_tenant(lambda t, _: _waiting(t, DeadLetterStatus.PENDING_REVIEW, (0, UUID(int=0))))
    ),
}
