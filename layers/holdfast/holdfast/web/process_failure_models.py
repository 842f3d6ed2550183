"""Request bodies about process failures. ``version`` is the one that the caller last saw; any other is answered 409."""

from holdfast.web.fields import Body, Line, Note, Version


class AssignFailureBody(Body):
    """Who looks after it from now on: the caller, unless somebody is named."""

    assigned_to: Line | None = None
    version: Version


class ResolveFailureBody(Body):
    """What was done about it."""

    note: Note
    version: Version


class ReopenFailureBody(Body):
    """Why it is not over."""

    note: Note
    version: Version
