"""Amazon Location Service, Places v2: ``geo-places`` ``Geocode``.

https://docs.aws.amazon.com/location/latest/APIReference/API_geoplaces_Geocode.html
Results are stored (with the order and in the cache), so every request states ``IntendedUse: Storage``, as the service's
terms require. The address is sent without the name of its resident.
"""

from threading import Lock
from typing import Any, Final

from holdfast.addresses.model import GeocodeQuality
from holdfast.geocoders.port import GeocodedPlace, GeocoderAnswerInvalid, GeocoderTimedOut, GeocoderUnavailable
from holdfast.values.address import Address
from holdfast.values.coordinates import Coordinates

QUERY_MAX_CHARACTERS: Final = 200
SURE_MATCH_SCORE: Final = 0.75
"""Below this score the service itself doubts that its result is the requested address."""

_QUALITY_OF_PLACE: Final = {
    "PointAddress": GeocodeQuality.ROOFTOP,
    "SecondaryAddress": GeocodeQuality.ROOFTOP,
    "PointOfInterest": GeocodeQuality.ROOFTOP,
    "InterpolatedAddress": GeocodeQuality.RANGE_INTERPOLATED,
    "InferredSecondaryAddress": GeocodeQuality.RANGE_INTERPOLATED,
    "Street": GeocodeQuality.CENTROID,
    "Intersection": GeocodeQuality.CENTROID,
    "Block": GeocodeQuality.CENTROID,
    "SubBlock": GeocodeQuality.CENTROID,
    "PostalCode": GeocodeQuality.CENTROID,
    "SubDistrict": GeocodeQuality.CENTROID,
    "District": GeocodeQuality.CENTROID,
    "Locality": GeocodeQuality.CENTROID,
    "SubRegion": GeocodeQuality.APPROXIMATE,
    "Region": GeocodeQuality.APPROXIMATE,
    "Country": GeocodeQuality.APPROXIMATE,
}
_NOT_AN_ADDRESS: Final = 400
"""The status with which the service refuses the query text: a fact about the address, not a fault of the service."""


class AmazonLocation:
    """Finds addresses with Amazon Location."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._made: Any = None

    def _client(self, timeout_seconds: float) -> Any:
        with self._lock:  # calls run in threads of their own, and creating two clients at once is not safe
            if self._made is None:
                import boto3  # noqa: PLC0415 -- costs 130 ms that a checkout whose address is known does not need
                from botocore.config import Config  # noqa: PLC0415

                # Its own session, as the default one must not create two clients at once, here and in the main thread.
                self._made = boto3.session.Session().client(
                    "geo-places",
                    config=Config(
                        connect_timeout=timeout_seconds,
                        read_timeout=timeout_seconds,
                        retries={"total_max_attempts": 1},
                    ),
                )
            return self._made

    def find(self, address: Address, *, timeout_seconds: float) -> GeocodedPlace | None:
        """See ``Geocoder.find``."""
        client = self._client(timeout_seconds)
        from botocore.exceptions import (  # noqa: PLC0415 -- see above
            BotoCoreError,
            ClientError,
            ConnectTimeoutError,
            ParamValidationError,
            ReadTimeoutError,
        )
        from botocore.parsers import ResponseParserError  # noqa: PLC0415

        try:
            answer = client.geocode(**request_for(address))
        except (ConnectTimeoutError, ReadTimeoutError) as error:
            raise GeocoderTimedOut(f"Amazon Location: {type(error).__name__}") from error
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == _NOT_AN_ADDRESS:
                return None
            raise GeocoderUnavailable(f"Amazon Location answered {status}") from error
        except ParamValidationError:
            return None
        except ResponseParserError as error:
            raise GeocoderAnswerInvalid("Amazon Location answered what is not JSON") from error
        except BotoCoreError as error:
            raise GeocoderUnavailable(f"Amazon Location: {type(error).__name__}") from error
        return place_in(answer, address)


def request_for(address: Address) -> dict[str, Any]:
    """Return the request for botocore."""
    street = " ".join(part for part in (address.line1, address.line2) if part)
    town = " ".join(part for part in (address.region, address.postal_code) if part)
    return {
        "QueryText": f"{street}, {address.city}, {town}"[:QUERY_MAX_CHARACTERS],
        "Filter": {"IncludeCountries": [address.country]},
        "MaxResults": 1,
        "IntendedUse": "Storage",
    }


def place_in(answer: Any, address: Address) -> GeocodedPlace | None:
    """Return the place in a response, or ``None`` if it has none. Raises ``GeocoderAnswerInvalid``."""
    try:
        items = answer["ResultItems"]
        if not items:
            return None
        item = items[0]
        longitude, latitude = (float(degrees) for degrees in item["Position"])
        quality = _QUALITY_OF_PLACE[item["PlaceType"]]
        found_country = item.get("Address", {}).get("Country", {}).get("Code2", address.country)
        region = item.get("Address", {}).get("Region", {})
        region_code = region.get("Code") or region.get("Name")
        score = float(item.get("MatchScores", {}).get("Overall", 1.0))
        coordinates = Coordinates(latitude, longitude)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise GeocoderAnswerInvalid("Amazon Location answered without a place that can be read") from error
    if found_country != address.country or (latitude == 0 == longitude) or not 0 <= score <= 1:
        raise GeocoderAnswerInvalid("Amazon Location answered with a place that cannot be the one asked for")
    if item.get("EstimatedPointAddress") and quality is GeocodeQuality.ROOFTOP:
        quality = GeocodeQuality.RANGE_INTERPOLATED
    if score < SURE_MATCH_SCORE:
        quality = GeocodeQuality.APPROXIMATE
    return GeocodedPlace(coordinates, quality, None if region_code is None else str(region_code))
