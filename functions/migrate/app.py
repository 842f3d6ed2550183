"""Bring the database to the newest schema, or a shop in line with its file. Invoked by hand or by the deployment."""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import boto3
from sqlalchemy import URL

from holdfast.database.migrations.master_login import accepted
from holdfast.database.migrations.run import upgrade
from holdfast.flows.shops.open_shop import open_shop
from holdfast.runtime import runtime
from holdfast.settings import DatabaseSettings, settings
from holdfast.values.errors import Rejected
from holdfast.web.clock import utc_now
from holdfast.web.shop_models import shop_file_from


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, Any]:
    """Open the shop of a file, or upgrade to ``revision`` (by default ``head``). Safe to invoke twice."""
    return _open_shop(event) if "shop" in event else _upgrade(str(event.get("revision", "head")))


def _open_shop(file: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return {"outcome": "opened", **open_shop(runtime(), shop_file_from(file), utc_now())}
    except Rejected as refused:
        return {"outcome": "refused", "code": refused.code, "detail": refused.detail, **refused.facts}


def _upgrade(revision: str) -> dict[str, Any]:
    """Upgrade as the cluster's master user, who may create roles. Raises LoginRefused."""
    database = settings().database
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=settings().database_master_secret)
    master = json.loads(secret["SecretString"])
    address = URL.create(
        "postgresql+pg8000", master["username"], host=database.host, port=database.port, database=database.name
    )
    tls = ssl.create_default_context(cafile=database.ca_file) if database.verify_tls else None
    ways = {
        "its password": lambda: str(master["password"]),
        "a token of IAM": lambda: _token(database, master["username"]),
    }
    upgrade(accepted(address, ways, tls), iam=True, revision=revision, ssl_context=tls)
    return {"upgraded_to": revision}


def _token(database: DatabaseSettings, username: str) -> str:
    client = boto3.client("rds")
    return str(client.generate_db_auth_token(DBHostname=database.host, Port=database.port, DBUsername=username))
