"""What the operations API of the archive takes."""

from holdfast.archive.policy import BatchStatus, Strategy
from holdfast.web.models import Body
from holdfast.web.operations_models import Note

__all__ = ["BatchStatus", "EraseBody", "ReconcileBody", "RestoreBody"]


class ReconcileBody(Body):
    """How the batch is verified; without a strategy by its own."""

    strategy: Strategy | None = None


class RestoreBody(Body):
    """Why the order is needed among the active ones."""

    reason: Note


class EraseBody(Body):
    """Why: who asked for it, and when. It stays on record, so it names nobody."""

    reason: Note
