"""Reads single documents from cold storage for functions without pyarrow, by asking the function that has it."""

import json
from functools import cached_property
from typing import Any, Protocol
from uuid import UUID

from holdfast.storage.bucket import Bucket
from holdfast.values.errors import NotFound, Transient


class ColdReader(Protocol):
    """Reads one order's document from the place that the index gives."""

    def read_document(self, path: str, row_group: int, order_id: UUID, version: int) -> str | None:
        """Return the stored text, unverified; ``None`` if the order is not in that row group. Raises Transient."""
        ...

    def find_document(self, path: str, order_id: UUID, version: int) -> tuple[int, str] | None:
        """Return the row group and the text, unverified; ``None`` if the order is not in the file. Raises Transient."""
        ...


class InvokedReader:
    """Reads by invoking the function of cold storage."""

    def __init__(self, function: str) -> None:
        self._function = function

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only who finds an order in cold storage pays for it

        return boto3.client("lambda")

    def read_document(self, path: str, row_group: int, order_id: UUID, version: int) -> str | None:
        """See the port."""
        wanted = {"path": path, "row_group": row_group, "order_id": str(order_id), "version": version}
        document: str | None = self._ask({"read": wanted})["document"]
        return document

    def find_document(self, path: str, order_id: UUID, version: int) -> tuple[int, str] | None:
        """See the port."""
        answer = self._ask({"find": {"path": path, "order_id": str(order_id), "version": version}})
        return None if answer["document"] is None else (answer["row_group"], answer["document"])

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        try:
            answer = self._client.invoke(FunctionName=self._function, Payload=json.dumps(question))
            payload: dict[str, Any] = json.loads(answer["Payload"].read())
        except Exception as error:
            raise Transient(f"cold storage did not answer: {type(error).__name__}") from error
        if "FunctionError" in answer:
            raise Transient("cold storage could not be read")
        return payload


class OwnReader:
    """Reads the bucket in this process: for the function of cold storage itself, and for the local system."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def read_document(self, path: str, row_group: int, order_id: UUID, version: int) -> str | None:
        """See the port."""
        from holdfast.storage.order_files import read_document  # noqa: PLC0415 -- pyarrow, which few functions have

        try:
            return read_document(self._bucket, path, row_group, order_id, version)
        except NotFound:
            return None

    def find_document(self, path: str, order_id: UUID, version: int) -> tuple[int, str] | None:
        """See the port."""
        from holdfast.storage.order_files import find_document  # noqa: PLC0415 -- as above

        try:
            return find_document(self._bucket, path, order_id, version)
        except NotFound:
            return None
