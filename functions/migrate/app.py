"""Brings the database to the newest schema; invoked by the deployment, as the cluster's master user."""

import json
import ssl
from collections.abc import Mapping
from typing import Any

import boto3
from sqlalchemy import URL

from holdfast.database.migrations.run import upgrade
from holdfast.settings import settings


def handler(event: Mapping[str, Any], _context: Any) -> dict[str, str]:
    """Upgrade to ``revision`` (``head`` if none is named). Safe to invoke twice."""
    database = settings().database
    secret = boto3.client("secretsmanager").get_secret_value(SecretId=settings().database_master_secret)
    master = json.loads(secret["SecretString"])
    url = URL.create(
        "postgresql+pg8000", master["username"], master["password"], database.host, database.port, database.name
    )
    tls = ssl.create_default_context(cafile=database.ca_file) if database.verify_tls else None
    revision = str(event.get("revision", "head"))
    upgrade(url, iam=True, revision=revision, ssl_context=tls)
    return {"upgraded_to": revision}
