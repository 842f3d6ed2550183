"""The running local system as seen by those who work with it: the seed, the tests, the commands."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from local.issuer import LIFETIME_SECONDS, Issuer
from local.people import Shop
from local.postgres import Address

if TYPE_CHECKING:
    from local.model import Plan

SECRET_REFERENCE = "holdfast/local/stripe"  # noqa: S105 (the name of a secret)
ARCHIVE_KEY_SECRET = "holdfast-archive/local/key"  # noqa: S105 (the name of a secret)
ARCHIVE_BUCKET = "holdfast-local-archivebucket"
_FILE = "system.json"


@dataclass(slots=True)
class LocalSystem:
    """Addresses and keys of one local system. `database` is the address for the master, who owns the database."""

    state: Path
    database: Address
    role_password: str
    api_url: str
    aws_url: str
    gateway_urls: dict[str, str]
    """The local payment gateways by name."""
    mail_url: str = ""
    """The mailbox: where mails to shoppers go and can be read."""
    shop: Shop | None = None
    plan: Plan | None = None

    @property
    def stripe_url(self) -> str:
        """The address of the Stripe server."""
        return self.gateway_urls["stripe"]

    @property
    def docs_url(self) -> str:
        """The interactive documentation of the API."""
        return f"{self.api_url}/docs"

    @property
    def issuer_url(self) -> str:
        """The base address of the development issuer, and the `iss` of its tokens."""
        return f"{self.api_url}/issuer"

    @property
    def logs(self) -> Path:
        """The folder of the log files: one per process and one per function."""
        return self.state / "logs"

    def database_as(self, role: str) -> Address:
        """Return the database as one of the roles that the migrations created (`holdfast_app` ...)."""
        return replace(self.database, user=role, password=self.role_password)

    def aws(self, service: str) -> Any:
        """Return a boto3 client of the AWS emulation."""
        from local.aws import client  # noqa: PLC0415 (boto3 takes a while, and not every command needs it)

        return client(service, self.aws_url)

    def token(self, role: str, *, subject: str | None = None, organization_id: str | None = None) -> str:
        """Return a token of a person of the demo shop. Raises ValueError for an unknown role, or before the seed."""
        if self.shop is None:
            raise ValueError("there is no shop yet: start the system once")
        claims = self.shop.claims(role, subject=subject, organization_id=organization_id)
        return Issuer(self.state, self.issuer_url).sign(
            claims, now=datetime.now(UTC), lifetime_seconds=LIFETIME_SECONDS
        )

    def save(self) -> None:
        """Saves the system's addresses and keys in its state folder, readable by its owner alone."""
        content = {name: value for name, value in asdict(self).items() if name not in ("state", "plan")}
        path = self.state / _FILE
        path.touch(mode=0o600)
        path.write_text(json.dumps(content, indent=2) + "\n")

    @classmethod
    def load(cls, state: Path) -> LocalSystem:
        """Reads what `save` wrote, whether or not the system is running. Raises ValueError when it never ran."""
        try:
            content = json.loads((state / _FILE).read_text())
        except FileNotFoundError:
            raise ValueError("the local system has not run yet: start it with `make run`") from None
        shop = content.pop("shop")
        database = Address(**content.pop("database"))
        return cls(state=state, database=database, shop=Shop(**shop) if shop else None, **content)
