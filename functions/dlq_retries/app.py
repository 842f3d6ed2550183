"""Look after the dead letters: replay what heals by itself, count them, and alert people about the rest."""

from collections.abc import Mapping
from typing import Any

from holdfast.flows.dead_letters.alert_dead_letters import alert_dead_letters
from holdfast.flows.dead_letters.auto_replay import auto_replay
from holdfast.flows.dead_letters.count_dead_letters import count_dead_letters
from holdfast.flows.dead_letters.replay_group import advance_group_replays
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.schedules import time_left
from holdfast.web.telemetry import correlated, count


def handler(event: Mapping[str, Any], context: Any) -> dict[str, int]:
    """Go through all dead letters once. The alerts, which need the SNS topic, come last so as not to stop the rest."""
    with correlated(str(event.get("id", "tick"))):
        replayed = auto_replay(runtime(), utc_now, time_left(context))
        count("DeadLetterAutoReplays", replayed.succeeded, Outcome="succeeded")
        count("DeadLetterAutoReplays", replayed.failed, Outcome="failed")
        in_groups = advance_group_replays(runtime(), utc_now, time_left(context))
        count("DeadLettersReplayedInGroups", in_groups)
        found = count_dead_letters(runtime(), utc_now())
        for priority, number in found.by_priority.items():
            count("DeadLettersOpen", number, Priority=priority)
        for (class_name, priority), number in found.by_class.items():
            count("DeadLettersOpenOfClass", number, ErrorClass=class_name, Priority=priority)
        return {
            "replayed": replayed.succeeded,
            "failed": replayed.failed,
            "withdrawn": replayed.withdrawn,
            "replayed_in_groups": in_groups,
            "open": found.by_priority.total(),
            "alerted": alert_dead_letters(runtime(), utc_now, time_left(context)),
        }
