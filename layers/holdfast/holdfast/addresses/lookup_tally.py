"""The results of lookups since they were last read; the handler turns them into metrics."""

from collections import Counter
from threading import Lock

from holdfast.addresses.model import GeocodeFailureReason, LookupTier


class LookupTally:
    """Counts lookups by tier, and by reason where the address was not found. Safe to use from several threads."""

    def __init__(self) -> None:
        self._tiers: Counter[LookupTier] = Counter()
        self._failures: Counter[GeocodeFailureReason] = Counter()
        self._lock = Lock()

    def note(self, tier: LookupTier, reason: GeocodeFailureReason | None = None) -> None:
        """Count one lookup."""
        with self._lock:
            self._tiers[tier] += 1
            if reason is not None:
                self._failures[reason] += 1

    def drain(self) -> tuple[Counter[LookupTier], Counter[GeocodeFailureReason]]:
        """Return the counts by tier and by reason, and start counting anew."""
        with self._lock:
            drained = self._tiers, self._failures
            self._tiers, self._failures = Counter(), Counter()
        return drained
