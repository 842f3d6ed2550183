"""Settings come from the environment, and a bad one is named."""

import pytest

from holdfast.settings import GeocoderChoice, settings_from

ENOUGH = {"DATABASE_HOST": "127.0.0.1"}


def test_what_is_not_set_has_its_default() -> None:
    settings = settings_from({**ENOUGH, "GEOCODER": ""})
    assert (settings.geocoder, settings.database.port) == (GeocoderChoice.NONE, 5432)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_HOST", ""),
        ("DATABASE_PORT", "many"),
        ("DATABASE_AUTHENTICATION", "trust"),
        ("GUEST_TOKEN_SOURCE", "anybody"),
        ("GEOCODER", "globe"),
        ("STOREFRONT_RETURN_URL", "not an address"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=name):
        settings_from({**ENOUGH, name: value})
