"""Read one order's document from cold storage, on behalf of another function that has no pyarrow."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from holdfast.runtime import Runtime
from holdfast.storage.cold_reader import OwnReader


def read_cold_order(runtime: Runtime, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Read the document at the place that the caller's index names.

    Return the text as it is stored, for the caller to prove, or ``None`` if it is not there.
    """
    reader = OwnReader(runtime.archive_bucket)
    text = reader.read_document(
        str(wanted["path"]), int(wanted["row_group"]), UUID(wanted["order_id"]), int(wanted["version"])
    )
    return {"document": text}


def find_cold_order(runtime: Runtime, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Find the document anywhere in a file.

    Return its row group and the text, for the caller to prove, or ``None`` if it is not there.
    """
    found = OwnReader(runtime.archive_bucket).find_document(
        str(wanted["path"]), UUID(wanted["order_id"]), int(wanted["version"])
    )
    row_group, text = found or (None, None)
    return {"row_group": row_group, "document": text}
