"""The running local mail service, and what tests do with it."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from local.mail_server.mailbox import StoredMail
from local.mail_server.server import PostOffice, make_server


@dataclass(frozen=True)
class Post:
    """The running mail service: its URL, its behavior, and the mails that it accepted."""

    url: str
    office: PostOffice

    def mails(self, recipient: str | None = None) -> list[StoredMail]:
        """Return the accepted mails to the recipient, or to anybody, oldest first."""
        return [m for m in reversed(self.office.mailbox.all()) if recipient in (None, *m.recipients)]

    def subjects(self, recipient: str | None = None) -> list[str]:
        """Return the subjects of those mails."""
        return [mail.subject for mail in self.mails(recipient)]

    def behaves(self, manner: str, **how: Any) -> None:
        """Set how calls are treated from now on (see local/mail_server/behavior.py)."""
        self.office.behaviors.command({"manner": manner, **how})


@contextmanager
def running_post(folder: Path, *, aws_url: str = "", topics: Mapping[str, str] | None = None) -> Iterator[Post]:
    """Run a mail service on a free port; boto3 finds it through the environment."""
    server, office = make_server(0, folder, aws_url=aws_url, topics=topics)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_SESV2", url)
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        try:
            yield Post(url, office)
        finally:
            office.stopped.set()
            server.shutdown()
            thread.join()
            server.server_close()
