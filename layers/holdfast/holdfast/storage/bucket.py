"""An S3 bucket: writes whole objects, reads whole objects and ranges. An existing object is never overwritten."""

from functools import cached_property
from typing import IO, Any, Final

from holdfast.values.errors import NotFound, Transient

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})
_PRESENT: Final = frozenset({"412", "PreconditionFailed"})
_COPY_BYTES: Final = 1 << 20


class BucketReader:
    """One S3 bucket, for readers only. Errors of the network and of S3 are raised as Transient."""

    def __init__(self, name: str) -> None:
        self.name = name

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- only functions that read or write objects pay for it

        return boto3.client("s3")

    def copy_to(self, key: str, target: IO[bytes]) -> None:
        """Copy a whole object into a file. Raises NotFound."""
        body = self._get(key)["Body"]
        while chunk := body.read(_COPY_BYTES):
            target.write(chunk)

    def exists(self, key: str) -> bool:
        """Return whether the object exists."""
        try:
            self._get(key, "bytes=0-0")
        except NotFound:
            return False
        return True

    def tail(self, key: str, length: int) -> tuple[bytes, int]:
        """Return the last ``length`` bytes of an object, and its size in bytes. Raises NotFound."""
        answer = self._get(key, f"bytes=-{length}")
        return answer["Body"].read(), int(answer["ContentRange"].rpartition("/")[2])

    def range(self, key: str, start: int, length: int) -> bytes:
        """Return ``length`` bytes of an object from ``start`` on. Raises NotFound."""
        found: bytes = self._get(key, f"bytes={start}-{start + length - 1}")["Body"].read()
        return found

    def names(self, prefix: str) -> list[str]:
        """Return the names of all objects that begin with ``prefix``, in the order in which S3 lists them."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        found: list[str] = []
        page: dict[str, Any] = {}
        while True:
            try:
                answer = self._client.list_objects_v2(Bucket=self.name, Prefix=prefix, **page)
            except ClientError as error:
                raise Transient(f"the objects {prefix} cannot be listed: {_code(error)}") from error
            except BotoCoreError as error:
                raise Transient(f"the objects {prefix} cannot be listed: {type(error).__name__}") from error
            found += [entry["Key"] for entry in answer.get("Contents", ())]
            if not answer["IsTruncated"]:
                return found
            page = {"ContinuationToken": answer["NextContinuationToken"]}

    def _get(self, key: str, ranged: str | None = None) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            return self._client.get_object(Bucket=self.name, Key=key, **({} if ranged is None else {"Range": ranged}))
        except ClientError as error:
            if _code(error) in _ABSENT:
                raise NotFound(f"there is no object {key}") from error
            raise Transient(f"the object {key} cannot be read: {_code(error)}") from error
        except BotoCoreError as error:
            raise Transient(f"the object {key} cannot be read: {type(error).__name__}") from error


class Bucket(BucketReader):
    """A bucket that is also written to.

    It creates its own client, because the architecture tests derive the permissions of a role from the classes that
    create clients.
    """

    @cached_property
    def _client(self) -> Any:
        import boto3  # noqa: PLC0415 -- as above

        return boto3.client("s3")

    def put_if_absent(self, key: str, body: IO[bytes] | bytes, content_type: str) -> bool:
        """Write an object unless one exists under ``key``, and return whether it was written."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.put_object(Bucket=self.name, Key=key, Body=body, ContentType=content_type, IfNoneMatch="*")
        except ClientError as error:
            if _code(error) in _PRESENT:
                return False
            raise Transient(f"the object {key} was not written: {_code(error)}") from error
        except BotoCoreError as error:
            raise Transient(f"the object {key} was not written: {type(error).__name__}") from error
        return True


def _code(error: Any) -> str:
    return str(error.response["Error"]["Code"])
