"""The running local geocoder, and an adapter that asks it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest

from holdfast.geocoders.amazon_location import AmazonLocation
from local.geocoder_server.server import Geocoder, make_server


@dataclass(frozen=True)
class Stage:
    """The running geocoder: its URL, its behavior, and the calls that it received."""

    url: str
    geocoder: Geocoder


@contextmanager
def running_geocoder() -> Iterator[Stage]:
    """Run a geocoder on a free port; boto3 finds it through the environment."""
    server, geocoder = make_server(0)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_GEO_PLACES", url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        try:
            yield Stage(url, geocoder)
        finally:
            geocoder.stopped.set()
            server.shutdown()
            thread.join()
            server.server_close()


def ready(timeout_seconds: float) -> AmazonLocation:
    """Return an adapter whose client exists: on a busy machine, importing boto3 takes longer than a test's budget."""
    adapter = AmazonLocation()
    adapter._client(timeout_seconds)
    return adapter
