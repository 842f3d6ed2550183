"""A mail as it goes over the wire: text and HTML in one, its headers ours, nothing in them that could break out."""

import re
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Final

from holdfast.mail.port import Mail

NAME_MAX_CHARACTERS: Final = 100
SUBJECT_MAX_CHARACTERS: Final = 200
OWN_ID_HEADER: Final = "X-Holdfast-Message-Id"
"""Amazon SES replaces ``Message-ID`` by one of its own; this header stays, and is the same for every attempt."""

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_ADDRESS: Final = re.compile(r"[!#-'*+/-9=?A-Z^-~-]+(\.[!#-'*+/-9=?A-Z^-~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class AddressUnusable(ValueError):
    """An address that no mail can be sent to: not ASCII before the @, or no address at all. Its text is not told."""


def one_line(text: str, max_characters: int) -> str:
    """The text without control characters, cut to a length: what a header may carry."""
    return _CONTROL.sub(" ", text).strip()[:max_characters]


def wire_address(address: str) -> str:
    """The address as services take it: the domain in ASCII (IDNA). Raises ``AddressUnusable``."""
    local, _, domain = address.strip().rpartition("@")
    try:
        domain = domain if domain.isascii() else domain.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise AddressUnusable("the domain of the address cannot be written in ASCII") from error
    written = f"{local}@{domain}"
    if len(written) > 254 or not _ADDRESS.fullmatch(written):
        raise AddressUnusable("that is no address a mail can be sent to")
    return written


def mailbox(name: str, address: str) -> str:
    """``Name <address>`` as a header has it, the name encoded where it must be."""
    shown = one_line(name, NAME_MAX_CHARACTERS)
    return str(Address(display_name=shown, addr_spec=wire_address(address)))


def compose(mail: Mail, sender_address: str) -> bytes:
    """The whole mail. Its headers are those of a mail that a machine sent and that wants no automatic answer."""
    message = EmailMessage(policy=SMTP)
    sender = wire_address(sender_address)
    message["From"] = Address(display_name=one_line(mail.sender_name, NAME_MAX_CHARACTERS), addr_spec=sender)
    message["To"] = wire_address(mail.recipient)
    message["Subject"] = one_line(mail.subject, SUBJECT_MAX_CHARACTERS)
    message["Date"] = format_datetime(mail.written_at)
    message["Message-ID"] = f"<{mail.message_id}@{sender.rpartition('@')[2]}>"
    message[OWN_ID_HEADER] = str(mail.message_id)
    if mail.reply_to:
        message["Reply-To"] = wire_address(mail.reply_to)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message.set_content(mail.text, subtype="plain", cte="quoted-printable")
    message.add_alternative(mail.html, subtype="html", cte="quoted-printable")
    message["Content-Language"] = mail.language  # last: what is set before becomes a header of the first part
    return message.as_bytes()
