"""The operations API's request bodies for dead letters and error classes."""

from datetime import date
from typing import Annotated, Final
from uuid import UUID

from aws_lambda_powertools.event_handler.openapi.params import Path, Query
from pydantic import Field, StrictBool, StringConstraints

from holdfast.flows.dead_letters.change_error_classes import Proposal
from holdfast.flows.dead_letters.list_dead_letters import PAGE_MAX_ROWS
from holdfast.flows.dead_letters.replay_dead_letters import BATCH_MAX
from holdfast.flows.dead_letters.replay_group import Rate
from holdfast.payments.dead_letters import DeadLetterPriority, DeadLetterStatus
from holdfast.payments.group_replays import PER_MINUTE_MAX, REPLAYS_MAX
from holdfast.values.payment_events import EventType
from holdfast.web.fields import Body, Name, Note, Notes, Version

CLASS_DELAY_MAX_SECONDS: Final = 86_400
KEYWORDS_MAX: Final = 10

DeadLetterId = Annotated[UUID, Path()]
GroupReplayId = Annotated[UUID, Path()]
ErrorClassId = Annotated[UUID, Path()]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
Assignee = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,255}$")]
"""The subject of a member's token."""
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]

StatusQuery = Annotated[
    DeadLetterStatus | None, Query(description="Only these; without it, all that are not replayed or discarded.")
]
PriorityQuery = Annotated[DeadLetterPriority | None, Query()]
ClassQuery = Annotated[UUID | None, Query()]
AssigneeQuery = Annotated[Assignee | None, Query()]
FingerprintPath = Annotated[Fingerprint, Path()]
FingerprintQuery = Annotated[Fingerprint | None, Query()]
AfterQuery = Annotated[UUID | None, Query(description="Only what stands behind this one in the queue: `next_after`.")]
LimitQuery = Annotated[int, Query(ge=1, le=PAGE_MAX_ROWS)]
FromQuery = Annotated[date | None, Query(alias="from", description="The first day (UTC); 30 days ago if not given.")]
ToQuery = Annotated[date | None, Query(alias="to", description="The last day (UTC); today if not given.")]


class AssignBody(Body):
    """Who looks after it: a member of the staff by name, or ``null`` for nobody."""

    assignee: Assignee | None
    version: Version


class StepBody(Body):
    """A step of the work, with what was found out."""

    note: Note | None = None
    version: Version


class DiscardBody(Body):
    """Why it is discarded: nothing will be done about the event any more."""

    note: Note
    version: Version


class ReplayBody(Body):
    """The replay of one; with ``version``, only if nobody changed it since."""

    version: Version | None = None


class ReplaySeveralBody(Body):
    """Dead letters to replay one after the other."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=BATCH_MAX)]


class ReplayGroupBody(Body):
    """How fast a group is replayed, and how many of it at most."""

    per_minute: Annotated[int, Field(ge=1, le=PER_MINUTE_MAX, strict=True)]
    max: Annotated[int, Field(ge=1, le=REPLAYS_MAX, strict=True)] = REPLAYS_MAX

    def to_rate(self) -> Rate:
        """Return this body as the flow's value."""
        return Rate(self.per_minute, self.max)


class ErrorClassBody(Body):
    """A class of failures: what its members look like (all of it must match), and how they are replayed.

    Patterns are SQL's: ``%`` is any text, ``_`` any character. Without a ``match_order`` it comes last.
    """

    class_name: Name
    description: Notes | None = None
    match_order: Annotated[int, Field(ge=1, le=10_000, strict=True)] | None = None
    event_type: EventType | None = None
    gateway_pattern: Pattern | None = None
    failure_code_pattern: Pattern | None = None
    message_keywords: Annotated[
        tuple[Pattern, ...],
        Field(max_length=KEYWORDS_MAX),
    ] = ()
    auto_replay_delay_seconds: Annotated[int, Field(ge=0, le=CLASS_DELAY_MAX_SECONDS, strict=True)] = 300
    min_confidence: Annotated[float, Field(ge=0, le=100, multiple_of=0.1)] = 85.0

    def to_proposal(self) -> Proposal:
        """Return this body as the flow's value."""
        return Proposal(**self.model_dump(exclude={"version", "active", "replaces"}))


class ChangeClassBody(ErrorClassBody):
    """A class as it shall be from now on. Its place stays unless ``match_order`` says another."""

    version: Version
    active: StrictBool = True


class ProposedClassBody(ErrorClassBody):
    """A class that is not saved yet; ``replaces`` names the class it is a change of."""

    replaces: UUID | None = None


class AutoReplayBody(Body):
    """Whether dead letters of the class replay by themselves."""

    enabled: StrictBool
    version: Version


class OrderBody(Body):
    """Every class of the shop, in the order in which they are tried."""

    ids: Annotated[list[UUID], Field(min_length=1, max_length=1_000)]


class DeactivateBody(Body):
    """The class as it was seen."""

    version: Version
