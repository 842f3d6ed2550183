"""What lookups came to since somebody last asked: the handler makes metrics of it."""

from collections import Counter
from threading import Lock

from holdfast.addresses.model import GeocodeFailureReason, LookupTier


class LookupTally:
    """Counts by tier, and by the reason where the address was not found. Safe to use from several threads."""

    def __init__(self) -> None:
        self._tiers: Counter[LookupTier] = Counter()
        self._failures: Counter[GeocodeFailureReason] = Counter()
        self._lock = Lock()

    def note(self, tier: LookupTier, reason: GeocodeFailureReason | None = None) -> None:
        """One lookup ended."""
        with self._lock:
            self._tiers[tier] += 1
            if reason is not None:
                self._failures[reason] += 1

    def drain(self) -> tuple[Counter[LookupTier], Counter[GeocodeFailureReason]]:
        """What was counted, by tier and by reason; counting begins anew."""
        with self._lock:
            drained = self._tiers, self._failures
            self._tiers, self._failures = Counter(), Counter()
        return drained
