"""A geocoder that is held to a time budget whatever it does, and is not called while it is failing."""

import threading
from concurrent.futures import Future
from typing import Final

from holdfast.geocoders.circuit_breaker import CircuitBreaker
from holdfast.geocoders.port import (
    GeocodedPlace,
    Geocoder,
    GeocoderFailed,
    GeocoderSuspended,
    GeocoderTimedOut,
    GeocoderUnavailable,
)
from holdfast.values.address import Address

CALLS_AT_ONCE_MAX: Final = 4
"""The maximum per process. An abandoned call continues in its thread until the network releases it."""


class BoundedGeocoder:
    """Calls a geocoder for at most ``budget_seconds``: name resolution, connecting, waiting and reading together.

    The call runs in a thread of its own, because socket timeouts bound each wait and not their sum: a server that sends
    a byte now and then would hold up a checkout for minutes.
    """

    def __init__(self, geocoder: Geocoder, breaker: CircuitBreaker, *, budget_seconds: float) -> None:
        self._geocoder = geocoder
        self._breaker = breaker
        self._budget_seconds = budget_seconds
        self._places = threading.BoundedSemaphore(CALLS_AT_ONCE_MAX)

    def find(self, address: Address) -> GeocodedPlace | None:
        """Return where the address is, or ``None`` if the geocoder does not know it. Raises ``GeocoderFailed``."""
        if not self._places.acquire(blocking=False):
            raise GeocoderUnavailable("every call that this process may make is under way")
        if not self._breaker.admit():
            self._places.release()
            raise GeocoderSuspended("it failed too often just now")
        try:
            place = self._asked(address).result(timeout=self._budget_seconds)
        except TimeoutError as error:
            self._breaker.failed()
            raise GeocoderTimedOut(f"no answer within {self._budget_seconds:g} s") from error
        except GeocoderFailed:
            self._breaker.failed()
            raise
        except Exception as error:
            self._breaker.failed()
            raise GeocoderUnavailable(f"asking failed: {type(error).__name__}") from error
        self._breaker.succeeded()
        return place

    def _asked(self, address: Address) -> "Future[GeocodedPlace | None]":
        answer: Future[GeocodedPlace | None] = Future()

        def ask() -> None:
            try:
                answer.set_result(self._geocoder.find(address, timeout_seconds=self._budget_seconds))
            except BaseException as error:  # noqa: BLE001 -- told to who waits, whatever it is
                answer.set_exception(error)
            finally:
                self._places.release()

        threading.Thread(target=ask, name="geocoder", daemon=True).start()
        return answer
