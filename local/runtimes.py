"""A runtime for use from outside the functions: by a command, or with a database named by its URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from holdfast.runtime import Runtime
from holdfast.settings import settings_from
from local.postgres import Address
from local.system import ARCHIVE_BUCKET, ARCHIVE_KEY_SECRET, LocalSystem


def runtime_over(
    database: Address,
    *,
    verify_tls: bool = False,
    ca_file: str = "",
    iam: bool = False,
    settings: Mapping[str, str] | None = None,
) -> Runtime:
    """Return a runtime with this database and nothing else but what ``settings`` name.

    ``ca_file`` holds the roots that the server's certificate is verified against; empty: the operating system's. With
    ``iam``, every connection gets a token from the AWS credentials at hand, in place of the address's password.
    """
    return Runtime(
        settings_from(
            {
                "DATABASE_HOST": database.host,
                "DATABASE_PORT": str(database.port),
                "DATABASE_NAME": database.database,
                "DATABASE_USER": database.user,
                "DATABASE_PASSWORD": database.password or "",
                "DATABASE_AUTHENTICATION": "iam" if iam else "password",
                "DATABASE_TLS": "verify" if verify_tls else "off",
                "DATABASE_CA_FILE": ca_file,
                **(settings or {}),
            }
        )
    )


@contextmanager
def runtime_of(system: LocalSystem, role: str = "holdfast_system") -> Iterator[Runtime]:
    """Open a runtime of the running system, in the role of its schedules unless another is named."""
    settings = {
        "ARCHIVE_KEY_SECRET": ARCHIVE_KEY_SECRET,
        "ARCHIVE_BUCKET": ARCHIVE_BUCKET,
        "STRIPE_BASE_URL": system.stripe_url,
    }
    runtime = runtime_over(system.database_as(role), settings=settings)
    try:
        yield runtime
    finally:
        runtime.database.engine.dispose()
