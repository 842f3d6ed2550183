"""Import postal codes. Invoked by hand, without a payload for those that ship with the code, or with a file."""

import base64
import gzip
import io
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, StringConstraints

from holdfast.flows.addresses.import_geocodes import import_geocodes, import_shipped_geocodes
from holdfast.runtime import runtime
from holdfast.web.clock import utc_now
from holdfast.web.telemetry import correlated, count

Label = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class PackedFile(BaseModel):
    """A CSV file (see docs/operations.md), compressed by gzip and written in base64: about 500,000 codes fit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    data_source: Label
    dataset_version: Label
    csv_gzip_base64: str


def handler(event: Mapping[str, Any], context: Any) -> dict[str, Any]:
    """Import the postal codes, and return what became of the rows and which are bad.

    Safe to invoke twice, even at the same time.
    """
    with correlated(context.aws_request_id):
        if event:
            file = PackedFile.model_validate(event)
            packed = io.BytesIO(base64.b64decode(file.csv_gzip_base64, validate=True))
            with gzip.open(packed, "rt", encoding="utf-8") as lines:
                told = import_geocodes(
                    runtime(), lines, utc_now, data_source=file.data_source, dataset_version=file.dataset_version
                )
        else:
            shipped = import_shipped_geocodes(runtime(), utc_now)
            if shipped is None:
                return {"outcome": "already_there"}
            told = shipped
        count("PostalCodesImported", told.added + told.changed)
        count("PostalCodeRowsBad", told.bad)
        return {"outcome": "imported", **asdict(told)}
