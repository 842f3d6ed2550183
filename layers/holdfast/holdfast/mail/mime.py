"""A mail in wire format: text and HTML in one message, with headers of our own that are safe from header injection."""

import re
from email.charset import QP, Charset
from email.header import Header
from email.headerregistry import Address
from email.mime.multipart import MIMEMultipart
from email.mime.nonmultipart import MIMENonMultipart
from email.policy import compat32
from email.utils import format_datetime, formataddr
from typing import Final

from holdfast.mail.port import Mail

NAME_MAX_CHARACTERS: Final = 100
SUBJECT_MAX_CHARACTERS: Final = 200
LANGUAGE_MAX_CHARACTERS: Final = 35
ENCODED_WORD_MAX_CHARACTERS: Final = 75
OWN_ID_HEADER: Final = "X-Holdfast-Message-Id"
"""Amazon SES replaces ``Message-ID`` with its own; this header is kept, and is the same for every attempt."""

_WIRE: Final = compat32.clone(linesep="\r\n", max_line_length=998)
"""Headers are written exactly as set, and an id is never folded. The newer policies parse each header into a tree,
which takes longer than everything else about a mail."""
_UTF8: Final = Charset("utf-8")
_UTF8.body_encoding = QP
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
_ADDRESS: Final = re.compile(r"[!#-'*+/-9=?A-Z^-~-]+(\.[!#-'*+/-9=?A-Z^-~-]+)*@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class AddressUnusable(ValueError):
    """No mail can be sent to an address: it is not ASCII before the @, or not an address. Its text is not revealed."""


def one_line(text: str, max_characters: int) -> str:
    """Return the text as a header may carry it: without control characters and cut to ``max_characters``."""
    return _CONTROL.sub(" ", text).strip()[:max_characters]


def wire_address(address: str) -> str:
    """Return the address as mail services accept it, with its domain in ASCII (IDNA). Raises ``AddressUnusable``."""
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
    """Return ``Name <address>`` for a header, with the name encoded if necessary. Raises ``AddressUnusable``."""
    shown = one_line(name, NAME_MAX_CHARACTERS)
    username, _, domain = wire_address(address).rpartition("@")
    return str(Address(display_name=shown, username=username, domain=domain))


def compose(mail: Mail, sender_address: str) -> bytes:
    """Return the whole mail. Raises ``AddressUnusable``.

    Its headers mark it as sent by a machine and suppress automatic replies.
    """
    message = MIMEMultipart("alternative", policy=_WIRE)
    sender = wire_address(sender_address)
    message["From"] = _named(one_line(mail.sender_name, NAME_MAX_CHARACTERS), sender)
    message["To"] = wire_address(mail.recipient)
    message["Subject"] = _words("Subject", one_line(mail.subject, SUBJECT_MAX_CHARACTERS))
    message["Date"] = format_datetime(mail.written_at)
    message["Message-ID"] = f"<{mail.message_id}@{sender.rpartition('@')[2]}>"
    message[OWN_ID_HEADER] = str(mail.message_id)
    if mail.reply_to:
        message["Reply-To"] = wire_address(mail.reply_to)
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "All"
    message["Content-Language"] = one_line(mail.language, LANGUAGE_MAX_CHARACTERS)
    message.attach(_part("plain", mail.text))
    message.attach(_part("html", mail.html))
    return message.as_bytes()


def _part(subtype: str, text: str) -> MIMENonMultipart:
    part = MIMENonMultipart("text", subtype, policy=_WIRE)
    part.set_payload(text, _UTF8)
    return part


def _words(header: str, text: str) -> str:
    """Return text for a header: ASCII unchanged, anything else as encoded words of the permitted length."""
    return text if text.isascii() else Header(text, "utf-8", ENCODED_WORD_MAX_CHARACTERS, header).encode()


def _named(name: str, address: str) -> str:
    """Return a mailbox for the From header."""
    if name.isascii():
        return formataddr((name, address))
    return f"{_words('From', name)}\n <{address}>"
