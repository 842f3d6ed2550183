"""One order's document out of cold storage, for another function that has no pyarrow."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.runtime import Runtime
from holdfast.storage.cold_reader import OwnReader


def read_cold_order(runtime: Runtime, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Where the index of the caller says it is: the text as it lies there, which the caller proves; ``None`` if it is
    not there."""
    reader = OwnReader(runtime.archive_bucket)
    text = reader.read_document(
        str(wanted["path"]), int(wanted["row_group"]), UUID(wanted["order_id"]), int(wanted["version"])
    )
    return {"document": text}


def find_cold_order(runtime: Runtime, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Wherever it is in a file: its row group, and the text, which the caller proves; ``None`` if it is not there."""
    found = OwnReader(runtime.archive_bucket).find_document(
        str(wanted["path"]), UUID(wanted["order_id"]), int(wanted["version"])
    )
    row_group, text = found or (None, None)
    return {"row_group": row_group, "document": text}
