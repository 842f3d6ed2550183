"""The clock: fires the template's schedules as EventBridge Scheduler and Lambda's asynchronous queue would."""

from __future__ import annotations

import json
import re
import sys
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from local.activity import Activity
from local.lambda_client import FunctionError, Invoker
from local.model import ACCOUNT, REGION, Function, Schedule

FIRST_FIRE_SECONDS = 2
RETRY_DELAY_SECONDS = 60
OVERLAP_MAX = 10
SEARCH_MAX_MINUTES = 366 * 24 * 60
_UNITS = {"minute": 60, "hour": 3600, "day": 86400}
_RATE = re.compile(r"rate\((\d+) (minute|hour|day)s?\)")
_CRON = re.compile(r"cron\((.+)\)")
_FIELDS = (
    ("minutes", 0, 59),
    ("hours", 0, 23),
    ("day", 1, 31),
    ("month", 1, 12),
    ("weekday", 1, 7),
    ("year", 1970, 2199),
)
_MONTHS = {
    name: n
    for n, name in enumerate(["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"], 1)
}
_WEEKDAYS = {name: n for n, name in enumerate(["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"], 1)}


@dataclass(frozen=True, slots=True)
class Timetable:
    """When a schedule fires: every `period_seconds`, or whenever all fields of a cron expression match."""

    period_seconds: int | None
    fields: tuple[frozenset[int], ...]
    timezone: ZoneInfo

    @classmethod
    def parse(cls, expression: str, timezone: str = "UTC") -> Timetable:
        """Reads `rate(5 minutes)` or `cron(minutes hours day month weekday year)`.

        Source: EventBridge Scheduler's schedule types. L, W and # are not understood. Raises ValueError.
        """
        zone = ZoneInfo(timezone)
        if found := _RATE.fullmatch(expression):
            return cls(int(found[1]) * _UNITS[found[2]], (), zone)
        found = _CRON.fullmatch(expression)
        parts = found[1].split() if found else []
        if len(parts) != len(_FIELDS):
            raise ValueError(f"{expression!r} is neither rate(...) nor cron(...) with six fields")
        return cls(None, tuple(_values(part, *spec) for part, spec in zip(parts, _FIELDS, strict=True)), zone)

    def paced(self, pace: int) -> Timetable:
        """Return the same timetable, `pace` times as fast. A cron expression stays as it is."""
        if self.period_seconds is None:
            return self
        return replace(self, period_seconds=max(1, self.period_seconds // pace))

    def first(self, start: datetime) -> datetime:
        """Return the first time after a start: soon for a rate, the next matching minute for a cron expression."""
        return start + timedelta(seconds=FIRST_FIRE_SECONDS) if self.period_seconds else self.after(start)

    def after(self, moment: datetime) -> datetime:
        """Return the next time after `moment` (aware). Raises ValueError when there is none within a year."""
        if self.period_seconds:
            return moment + timedelta(seconds=self.period_seconds)
        candidate = moment.astimezone(UTC).replace(second=0, microsecond=0)
        for _ in range(SEARCH_MAX_MINUTES):
            candidate += timedelta(minutes=1)
            if self._fits(candidate.astimezone(self.timezone)):
                return candidate
        raise ValueError("the schedule does not fire within a year")

    def _fits(self, local: datetime) -> bool:
        weekday = local.isoweekday() % 7 + 1  # AWS counts from Sunday = 1
        parts = (local.minute, local.hour, local.day, local.month, weekday, local.year)
        return all(part in allowed for part, allowed in zip(parts, self.fields, strict=True))


def _values(text: str, name: str, low: int, high: int) -> frozenset[int]:
    names = {"month": _MONTHS, "weekday": _WEEKDAYS}.get(name, {})

    def number(word: str) -> int:
        value = names[word.upper()] if word.upper() in names else int(word)
        if not low <= value <= high:
            raise ValueError
        return value

    allowed: set[int] = set()
    try:
        for item in text.split(","):
            span, _, step = item.partition("/")
            if span in ("*", "?"):
                begin, end = low, high
            else:
                first, _, last = span.partition("-")
                begin = number(first)
                end = number(last) if last else (high if step else begin)
            allowed.update(range(begin, end + 1, int(step or 1)))
    except ValueError:
        raise ValueError(f"{text!r} is not understood as {name} of a cron expression") from None
    return frozenset(allowed)


def scheduled_event(schedule: Schedule, at: datetime) -> Any:
    """Return what Scheduler sends: the schedule's own input, or its default event."""
    if schedule.input is not None:
        return json.loads(schedule.input)
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler",
        "account": ACCOUNT,
        "time": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [f"arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/{schedule.name}"],
        "detail": "{}",
    }


@dataclass(slots=True)
class Ticker:
    """One schedule of one function. Invocations may overlap, up to the function's reserved concurrency."""

    function: Function
    schedule: Schedule
    sandboxes: Invoker
    stop: threading.Event
    activity: Activity
    send_failure: Callable[[str, dict[str, Any]], None]
    """Sends the record of a failed invocation to the queue with this URL."""
    pace: int = 1
    """How many times as fast as its timetable the schedule fires."""
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    _running: threading.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        self._running = threading.Semaphore(self.function.max_concurrency or OVERLAP_MAX)

    def run(self) -> None:
        """Fires until stopped. Times that were missed, as on a sleeping laptop, are skipped."""
        timetable = Timetable.parse(self.schedule.expression, self.schedule.timezone).paced(self.pace)
        due = timetable.first(self.now())
        while not self.stop.wait(max(0.0, (due - self.now()).total_seconds())):
            event = scheduled_event(self.schedule, due)
            threading.Thread(target=self._fire, args=(event,), name=self.schedule.name, daemon=True).start()
            due = timetable.after(due)
            while due < self.now():
                due = timetable.after(due)

    def _fire(self, event: Any) -> None:
        if not self._running.acquire(blocking=False):
            sys.stdout.write(f"{self.function.name}: as many invocations as allowed are still running; skipped\n")
            return
        try:
            with self.activity:
                self._attempt(event)
        finally:
            self._running.release()

    def _attempt(self, event: Any) -> None:
        request_id = str(uuid.uuid4())
        for attempt in range(self.function.max_retries + 1):
            if attempt and self.stop.wait(RETRY_DELAY_SECONDS * attempt):
                return
            try:
                self.sandboxes.invoke(self.function, event, request_id)
            except FunctionError as problem:
                sys.stdout.write(f"{self.function.name}: {problem}\n")
                failure = problem
            else:
                return
        if self.function.failure_queue_url and not self.stop.is_set():
            self.send_failure(self.function.failure_queue_url, _failure(self.function, event, request_id, failure))


def _failure(function: Function, event: Any, request_id: str, problem: FunctionError) -> dict[str, Any]:
    """Return the record that Lambda sends to an on-failure destination."""
    return {
        "version": "1.0",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "requestContext": {
            "requestId": request_id,
            "functionArn": f"{function.arn}:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": function.max_retries + 1,
        },
        "requestPayload": event,
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": str(problem), "errorType": problem.kind},
    }
