"""Keeps the objects of the AWS emulation beyond its life, because the database refers to files of cold storage.

The emulation keeps objects in memory. Whatever is put into a bucket is written to a folder before the caller gets the
answer, and put back into the emulation when it starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

_S3 = "/s3/aws4_request"
"""The scope by which a signature for S3 can be recognized."""


class KeptObjects:
    """Wraps the emulation's application: objects that are put are kept as files, until they are deleted."""

    def __init__(self, application: Callable[..., Iterable[bytes]], folder: Path) -> None:
        self._application = application
        self._folder = folder.resolve()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer as the emulation does, once the folder agrees with it."""
        method, at = environ["REQUEST_METHOD"], self._file_of(environ)
        if at is None or method not in ("PUT", "DELETE"):
            return self._application(environ, start_response)
        told: list[tuple[Any, ...]] = []

        def remember(*answer: Any) -> Callable[[bytes], object]:
            told.append(answer)
            return lambda _: None

        body = list(self._application(environ, remember))
        bucket, key, file = at
        if told[-1][0].startswith("2"):
            self._keep(bucket, key, file)
        start_response(*told[-1])
        return body

    def _file_of(self, environ: dict[str, Any]) -> tuple[str, str, Path] | None:
        bucket, _, key = unquote(environ["PATH_INFO"]).lstrip("/").partition("/")
        file = (self._folder / bucket / key).resolve()
        is_object = bucket and key and not key.endswith("/") and _S3 in environ.get("HTTP_AUTHORIZATION", "")
        return (bucket, key, file) if is_object and file.is_relative_to(self._folder) else None

    def _keep(self, bucket: str, key: str, file: Path) -> None:
        found = _emulated().get_object(bucket, key)
        if found is None:
            file.unlink(missing_ok=True)
            return
        file.parent.mkdir(parents=True, exist_ok=True)
        whole = file.with_name(f".{file.name}")
        whole.write_bytes(found.value)
        whole.replace(file)


def lay_back(client: Any, folder: Path, buckets: Iterable[str]) -> None:
    """Put the objects in the folder back into the emulation's buckets."""
    for bucket in buckets:
        for file in sorted((folder / bucket).rglob("*")):
            if file.is_file() and not file.name.startswith("."):
                client.put_object(
                    Bucket=bucket, Key=file.relative_to(folder / bucket).as_posix(), Body=file.read_bytes()
                )


def _emulated() -> Any:
    from moto.core.models import DEFAULT_ACCOUNT_ID  # noqa: PLC0415 (0.5 s of imports)
    from moto.s3.models import s3_backends  # noqa: PLC0415

    return s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
