"""Logs and metrics. Each line has the correlation id of its subject; bodies, tokens and addresses are never logged."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Final

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

from holdfast.addresses.lookup_tally import LookupTally
from holdfast.settings import metrics_namespace
from holdfast.values import correlation
from holdfast.values.correlation import correlation_id

__all__ = ["correlated", "correlation_id", "count", "count_lookups", "logger"]

# At DEBUG these loggers write whole requests and responses, including secrets, tokens and addresses.
_TALKATIVE: Final = ("boto3", "botocore", "urllib3")


class _CorrelationFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = correlation_id()
        return True


@cache
def logger() -> Logger:
    """Return the structured logger, through which the loggers of all ``holdfast`` modules write."""
    made = Logger(service="holdfast")
    handler = made.handlers[0] if made.handlers else made._logger.handlers[0]  # noqa: SLF001 -- no accessor exists
    handler.addFilter(_CorrelationFilter())
    package = logging.getLogger("holdfast")
    package.handlers = [handler]
    package.setLevel(made.log_level)
    package.propagate = False
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.INFO)
    return made


@contextmanager
def correlated(identifier: str | None) -> Iterator[None]:
    """Give everything that is logged and stored inside the block one correlation id."""
    logger()
    with correlation.correlated(identifier):
        yield


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Emit one count as an embedded metric (CloudWatch EMF) of this environment, with its dimensions."""
    with single_metric(name=name, unit=MetricUnit.Count, value=value, namespace=metrics_namespace()) as metric:
        for key, text in dimensions.items():
            metric.add_dimension(name=key, value=text)


def count_lookups(tally: LookupTally) -> None:
    """Emit which tiers found the addresses looked up since the last call, and why some were not found."""
    tiers, reasons = tally.drain()
    for tier, lookups in tiers.items():
        count("AddressLookups", lookups, Tier=tier)
    for reason, failures in reasons.items():
        count("AddressesNotFound", failures, Reason=reason)
