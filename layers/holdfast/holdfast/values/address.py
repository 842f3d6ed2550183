"""Where a parcel goes, as an immutable snapshot."""

from dataclasses import dataclass

from holdfast.values.regions import is_listed, region_code


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address. ``country`` is ISO 3166-1 alpha-2; ``region`` the state or province: its code where
    ``values.regions`` lists it, however it was written, else as it was written."""

    name: str
    line1: str
    city: str
    postal_code: str
    country: str
    line2: str | None = None
    region: str | None = None
    phone: str | None = None

    def __post_init__(self) -> None:
        """One way of writing a region, wherever an address comes from: what is compared and kept is the same."""
        code = region_code(self.country, self.region)
        written = (self.region or "").strip() or None
        object.__setattr__(self, "region", code if is_listed(self.country, code) else written)

    def to_json(self) -> dict[str, str | None]:
        """Return the snapshot that orders keep."""
        return {
            "name": self.name,
            "line1": self.line1,
            "line2": self.line2,
            "city": self.city,
            "region": self.region,
            "postal_code": self.postal_code,
            "country": self.country,
            "phone": self.phone,
        }
