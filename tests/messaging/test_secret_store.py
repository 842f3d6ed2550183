"""Secrets by reference: cached for minutes, and read afresh when a signature fails, but only once in a while."""

import json
import uuid
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from holdfast.secrets import store
from holdfast.secrets.store import SecretStore
from holdfast.values.errors import Transient


@pytest.fixture
def reference(aws: str) -> Iterator[str]:
    name = f"holdfast/test/{uuid.uuid4().hex}"
    client = boto3.client("secretsmanager")
    client.create_secret(Name=name, SecretString=json.dumps({"api_key": "first"}))
    yield name
    client.delete_secret(SecretId=name, ForceDeleteWithoutRecovery=True)


def rotate(reference: str, **value: Any) -> None:
    boto3.client("secretsmanager").put_secret_value(SecretId=reference, SecretString=json.dumps(value))


def test_a_secret_is_remembered(reference: str) -> None:
    secrets = SecretStore()
    assert secrets.read(reference) == {"api_key": "first"}
    rotate(reference, api_key="second")
    assert secrets.read(reference) == {"api_key": "first"}


def test_a_rotation_is_seen_by_who_asks_for_it(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = SecretStore()
    secrets.read(reference)
    rotate(reference, api_key="second")
    assert secrets.read(reference, fresh=True) == {"api_key": "first"}, "asked again within seconds: not worth a call"
    monkeypatch.setattr(store, "FRESH_READ_MIN_INTERVAL_SECONDS", 0)
    assert secrets.read(reference, fresh=True) == {"api_key": "second"}
    assert secrets.read(reference) == {"api_key": "second"}


def test_a_memory_ends(reference: str, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = SecretStore()
    secrets.read(reference)
    rotate(reference, api_key="second")
    monkeypatch.setattr(store, "CACHE_SECONDS", 0)
    assert secrets.read(reference) == {"api_key": "second"}


def test_a_secret_that_is_not_there_or_no_json_is_a_matter_of_time(reference: str) -> None:
    with pytest.raises(Transient):
        SecretStore().read("holdfast/nothing")
    boto3.client("secretsmanager").put_secret_value(SecretId=reference, SecretString="sk_live_not_json")
    with pytest.raises(Transient) as found:
        SecretStore().read(reference)
    assert "sk_live_not_json" not in str(found.value)
