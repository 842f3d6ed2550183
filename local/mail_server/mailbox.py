"""The mails that were accepted, newest last, in memory and as files (one `.eml` and one `.json` each), so that they
survive the server. Bounded: the oldest are removed when there are too many."""

from __future__ import annotations

import email
import email.policy
import json
import threading
from dataclasses import asdict, dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Final

KEPT_MAX: Final = 1000


@dataclass(frozen=True, slots=True)
class StoredMail:
    """A mail as it would reach its recipient, with what came along with the call."""

    id: str
    taken_at: str
    sender: str
    recipients: list[str]
    configuration_set: str | None
    tags: dict[str, str]
    raw: str
    fate: str = "delivered"
    """`delivered`, `bounced`, `complained` or `suppressed`: what the mailbox simulator makes of it."""

    @property
    def parsed(self) -> EmailMessage:
        """Parsed only when somebody looks at it, because most mails of a busy shop are never read here."""
        return email.message_from_string(self.raw, policy=email.policy.default)

    @property
    def subject(self) -> str:
        """Its subject, decoded."""
        return str(self.parsed["Subject"] or "(no subject)")

    def body(self, kind: str) -> str | None:
        """Return the decoded part of this kind (`plain` or `html`), if there is one."""
        part = self.parsed.get_body((kind,))
        return None if part is None else str(part.get_content()).replace("\r\n", "\n")

    def document(self) -> dict[str, object]:
        """Return everything for the control surface, with the headers and both bodies decoded."""
        headers = {name: str(value) for name, value in self.parsed.items()}
        return asdict(self) | {
            "subject": self.subject,
            "headers": headers,
            "text": self.body("plain"),
            "html": self.body("html"),
        }


class Mailbox:
    """The mails by id. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        self._mails: dict[str, StoredMail] = {}
        for path in sorted(folder.glob("*.json")):
            kept = json.loads(path.read_text())
            self._mails[kept["id"]] = StoredMail(**kept, raw=path.with_suffix(".eml").read_text())

    def add(self, mail: StoredMail) -> None:
        """Keeps a mail."""
        with self._lock:
            self._mails[mail.id] = mail
            kept = {name: value for name, value in asdict(mail).items() if name != "raw"}
            path = self._folder / mail.id
            path.with_suffix(".eml").write_text(mail.raw)
            path.with_suffix(".json").write_text(json.dumps(kept))
            while len(self._mails) > KEPT_MAX:
                self._forget(next(iter(self._mails)))

    def all(self) -> list[StoredMail]:
        """Return all mails, newest first."""
        with self._lock:
            return list(reversed(self._mails.values()))

    def find(self, identifier: str) -> StoredMail | None:
        """Return the mail with this id, or None."""
        with self._lock:
            return self._mails.get(identifier)

    def clear(self) -> None:
        """Forgets all mails."""
        with self._lock:
            for identifier in list(self._mails):
                self._forget(identifier)

    def _forget(self, identifier: str) -> None:
        del self._mails[identifier]
        for suffix in (".eml", ".json"):
            (self._folder / identifier).with_suffix(suffix).unlink(missing_ok=True)
