"""A mail as it goes over the wire: text and HTML in one, its headers ours, nothing in them that could break out."""

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
"""Amazon SES replaces ``Message-ID`` by one of its own; this header stays, and is the same for every attempt."""

_WIRE: Final = compat32.clone(linesep="\r\n", max_line_length=998)
"""Headers are written as they are set, and an id is never folded. The newer policies parse each header into a tree,
which takes longer than all the rest of a mail."""
_UTF8: Final = Charset("utf-8")
_UTF8.body_encoding = QP
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
    username, _, domain = wire_address(address).rpartition("@")
    return str(Address(display_name=shown, username=username, domain=domain))


def compose(mail: Mail, sender_address: str) -> bytes:
    """The whole mail. Its headers are those of a mail that a machine sent and that wants no automatic answer."""
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
    """Words as a header has them: ASCII as it is, anything else as encoded words, none longer than they may be."""
    return text if text.isascii() else Header(text, "utf-8", ENCODED_WORD_MAX_CHARACTERS, header).encode()


def _named(name: str, address: str) -> str:
    """A mailbox as a header has it."""
    if name.isascii():
        return formataddr((name, address))
    return f"{_words('From', name)}\n <{address}>"
