"""The HTTP side: `POST /v2/email/outbound-emails` as Amazon SES answers it, pages to read the mails, and a control
interface to make it misbehave.

    GET    /                            the mailbox in a browser
    GET    /_control/mails[?to=...]     {"mails": [...]}, oldest first      DELETE: forget them
    POST   /_control/behaviors          how to treat calls (see behavior.py)   DELETE: well again
    POST   /_control/mails/{id}/feedback   {"fate": "bounced" | "bounced_for_now" | "complained"}, told to the topic
    GET    /_control/calls              {"calls": n}: how many calls to send a mail came, accepted or not
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from local.mail_server import pages
from local.mail_server.behavior import Behavior, Behaviors
from local.mail_server.feedback import FeedbackTopics, event_of
from local.mail_server.mailbox import Mailbox, StoredMail
from local.mail_server.sending import Refusal, take

BODY_MAX_BYTES: Final = 2_000_000
SEND_PATH: Final = "/v2/email/outbound-emails"
_REFUSALS: Final = {
    "throttling": ("TooManyRequestsException", "Maximum sending rate exceeded.", 429),
    "over_quota": ("LimitExceededException", "Daily message quota exceeded.", 400),
    "down": ("InternalFailure", "Something broke.", 500),
    "rejecting": ("MessageRejected", "The message is not acceptable.", 400),
    "paused": ("SendingPausedException", "Sending is paused for this account.", 400),
    "unverified": ("MailFromDomainNotVerifiedException", "The MAIL FROM domain is not verified.", 400),
    "lapsed": (
        "MessageRejected",
        "Email address is not verified. The following identities failed the check in region X: orders@shop.example",
        400,
    ),
}


class PostOffice:
    """The state of the server. Safe to use from several threads."""

    def __init__(self, folder: Path, feedback: FeedbackTopics) -> None:
        self.mailbox = Mailbox(folder)
        self.behaviors = Behaviors()
        self.feedback = feedback
        self.stopped = threading.Event()
        self._lock = threading.Lock()
        self._calls = 0

    @property
    def calls(self) -> int:
        """How many calls to send a mail came."""
        with self._lock:
            return self._calls

    def called(self) -> None:
        """Counts a call."""
        with self._lock:
            self._calls += 1

    def tell(self, mail: StoredMail, fate: str) -> bool:
        """Publishes what became of a mail. Returns False when there was nothing to publish."""
        event = event_of(mail, fate)
        if event is not None:
            self.feedback.tell(mail, event)
        return event is not None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    office: PostOffice

    def do_GET(self) -> None:
        """Answers with a page, or with what is kept."""
        url = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(url.query).items()}
        parts = url.path.strip("/").split("/")
        if url.path == "/_control/mails":
            mails = [m for m in reversed(self.office.mailbox.all()) if query.get("to") in (None, *m.recipients)]
            self._json(200, {"mails": [mail.document() for mail in mails]})
        elif url.path == "/_control/calls":
            self._json(200, {"calls": self.office.calls})
        elif url.path == "/":
            self._html(pages.list_page(self.office.mailbox.all()), pages.PAGE_POLICY)
        elif parts[0] == "mails" and len(parts) in (2, 3) and (mail := self.office.mailbox.find(parts[1])):
            if len(parts) == 3:
                self._html(pages.content(mail), pages.FRAME_POLICY)
            else:
                form = query.get("form", "html")
                self._html(pages.mail_page(mail, form if form in ("text", "raw") else "html"), pages.PAGE_POLICY)
        else:
            self._json(404, {"message": "there is nothing here"})

    def do_DELETE(self) -> None:
        """Forgets mails or commands."""
        if self.path == "/_control/mails":
            self.office.mailbox.clear()
        elif self.path == "/_control/behaviors":
            self.office.behaviors.clear()
        else:
            self._json(404, {"message": "there is nothing here"})
            return
        self._json(200, {})

    def do_POST(self) -> None:
        """Answers a call, or takes a command."""
        length = int(self.headers.get("Content-Length") or 0)
        try:
            request = json.loads(self.rfile.read(min(length, BODY_MAX_BYTES)) or b"{}")
        except ValueError:
            self._refuse(Refusal("SerializationException", "the body is not JSON"))
            return
        if self.path == SEND_PATH:
            self._send_email(request)
        elif self.path == "/_control/behaviors":
            self._command(request)
        elif self.path.startswith("/_control/mails/") and self.path.endswith("/feedback"):
            mail = self.office.mailbox.find(self.path.split("/")[3])
            told = mail is not None and self.office.tell(mail, str(request.get("fate")))
            self._json(200 if told else 404, {"told": told})
        else:
            self._refuse(Refusal("UnknownOperationException", "there is nothing here", 404))

    def _command(self, request: dict[str, Any]) -> None:
        try:
            self.office.behaviors.command(request)
        except ValueError as problem:
            self._json(400, {"message": str(problem)})
        else:
            self._json(200, {})

    def _send_email(self, request: Any) -> None:
        self.office.called()
        try:
            mail = self._taken(request)
            self._treat(mail, self.office.behaviors.next_for(mail.recipients))
        except Refusal as refusal:
            self._refuse(refusal)

    def _taken(self, request: Any) -> StoredMail:
        if "/ses/aws4_request" not in self.headers.get("Authorization", ""):
            raise Refusal("MissingAuthenticationTokenException", "the request is not signed for ses", 403)
        if not isinstance(request, dict):
            raise Refusal("SerializationException", "the body is not an object")
        return take(request, self.office.feedback.configuration_sets, datetime.now(UTC))

    def _treat(self, mail: StoredMail, behavior: Behavior) -> None:
        """Accepts the mail, or does what was commanded. Raises Refusal."""
        if behavior.manner in _REFUSALS:
            raise Refusal(*_REFUSALS[behavior.manner])
        if behavior.manner == "slow":
            self.office.stopped.wait(behavior.delay_seconds)
        if behavior.manner != "timeout_before":
            self.office.mailbox.add(mail)
        if behavior.manner in ("timeout_before", "timeout_after"):
            self.office.stopped.wait(behavior.delay_seconds)
            self.close_connection = True
            return
        if behavior.manner == "garbled":
            self._send(200, b"<html>busy</html>", {"Content-Type": "text/html"})
        else:
            self._json(200, {"MessageId": mail.id})
        self.office.tell(mail, mail.fate)

    def _refuse(self, refusal: Refusal) -> None:
        headers = {"x-amzn-ErrorType": refusal.kind, "Content-Type": "application/json"}
        self._send(refusal.status, json.dumps({"message": refusal.message}).encode(), headers)

    def _json(self, status: int, document: Mapping[str, Any]) -> None:
        self._send(status, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _html(self, text: str, policy: str) -> None:
        headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": policy}
        self._send(200, text.encode(), headers | {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})

    def _send(self, status: int, content: bytes, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(content)
        except OSError:
            self.close_connection = True  # the caller did not wait

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the name is the base class's
        """Log nothing: addresses do not belong in a log."""


def make_server(
    port: int, folder: Path, *, aws_url: str = "", topics: Mapping[str, str] | None = None, host: str = "127.0.0.1"
) -> tuple[ThreadingHTTPServer, PostOffice]:
    """Return a server that listens (on a free port for 0) and is yet to serve, and the object that controls it."""
    office = PostOffice(folder, FeedbackTopics(aws_url, topics or {}))
    handler = type("Handler", (_Handler,), {"office": office})
    server = ThreadingHTTPServer((host, port), handler)
    server.daemon_threads = True
    return server, office
