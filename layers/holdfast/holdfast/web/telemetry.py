"""Logs, metrics and the correlation id that ties a request to everything it causes. No body is ever logged."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Final

from aws_lambda_powertools import Logger, single_metric
from aws_lambda_powertools.metrics import MetricUnit

NAMESPACE: Final = "Holdfast"
_correlation_id: ContextVar[str | None] = ContextVar("correlation_id", default=None)


class _CorrelationFilter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        record.correlation_id = _correlation_id.get()
        return True


@cache
def logger() -> Logger:
    """The structured logger; the loggers of every ``holdfast`` module write through it."""
    made = Logger(service="holdfast")
    handler = made.handlers[0] if made.handlers else made._logger.handlers[0]  # noqa: SLF001 -- no accessor exists
    handler.addFilter(_CorrelationFilter())
    package = logging.getLogger("holdfast")
    package.handlers = [handler]
    package.setLevel(made.log_level)
    package.propagate = False
    return made


def correlation_id() -> str | None:
    """The id of the request being served in this context."""
    return _correlation_id.get()


@contextmanager
def correlated(identifier: str | None) -> Iterator[None]:
    """Tie everything logged inside the block to one id."""
    logger()
    token = _correlation_id.set(identifier)
    try:
        yield
    finally:
        _correlation_id.reset(token)


def count(name: str, value: float = 1, **dimensions: str) -> None:
    """Emit one count as an embedded metric (CloudWatch EMF), with its dimensions."""
    _emit(name, MetricUnit.Count, value, dimensions)


def seconds(name: str, value: float, **dimensions: str) -> None:
    """Emit one duration in seconds."""
    _emit(name, MetricUnit.Seconds, value, dimensions)


def _emit(name: str, unit: MetricUnit, value: float, dimensions: dict[str, str]) -> None:
    with single_metric(name=name, unit=unit, value=value, namespace=NAMESPACE) as metric:
        for key, text in dimensions.items():
            metric.add_dimension(name=key, value=text)

