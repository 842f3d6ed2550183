"""One order's document out of cold storage, for another function: where the index of the caller says it is."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.runtime import Runtime
from holdfast.storage.cold_reader import OwnReader


def read_cold_order(runtime: Runtime, wanted: Mapping[str, Any]) -> str | None:
    """The text as it lies there, which the caller proves; ``None`` if it is not there."""
    reader = OwnReader(runtime.archive_bucket)
    return reader.read_document(
        str(wanted["path"]), int(wanted["row_group"]), UUID(wanted["order_id"]), int(wanted["version"])
    )
