"""The mailbox in a browser: a list, and each mail as HTML (in a frame that runs no scripts), as text, and raw."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from local.mail_server.mailbox import StoredMail

FRAME_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data: https:;"
    " sandbox allow-popups allow-popups-to-escape-sandbox"
)
"""The policy for a mail's HTML: no script, no form, nothing loaded but pictures. Links open in a new page."""
PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"

_STYLE: Final = """
:root { color-scheme: light dark } * { box-sizing: border-box }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 62rem; padding: 1.2rem }
h1 { font-size: 1.3rem } a { color: #0b57a4 } .quiet { color: #697582 }
@media (prefers-color-scheme: dark) { a { color: #7fb8f0 } }
ul { list-style: none; margin: 0; padding: 0 } li { border-top: 1px solid #8884; padding: .6rem 0 }
li a { display: block; text-decoration: none; font-weight: 600; overflow-wrap: anywhere }
.fate { border: 1px solid currentColor; border-radius: 4px; font-size: .8rem; padding: 0 .3rem; color: #b3261e }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem .8rem; overflow-wrap: anywhere } dd { margin: 0 }
nav a { margin-right: 1rem } iframe { background: #fff; border: 1px solid #8884; height: 48rem; width: 100% }
pre { border: 1px solid #8884; overflow-x: auto; padding: .8rem; white-space: pre-wrap; overflow-wrap: anywhere }
"""


def list_page(mails: Sequence[StoredMail]) -> str:
    """Return the list of all mails, newest first."""
    rows = "".join(
        f'<li><a href="/mails/{escape(mail.id)}">{escape(mail.subject)}</a>'
        f'<span class="quiet">to {escape(", ".join(mail.recipients))} · {escape(mail.taken_at[:19])} UTC</span>'
        f"{_fate(mail)}</li>"
        for mail in mails
    )
    return _page("Mailbox", f"<h1>Mailbox</h1>{f'<ul>{rows}</ul>' if rows else '<p>No mail yet.</p>'}")


def mail_page(mail: StoredMail, form: str) -> str:
    """Return one mail in one of its forms: `html`, `text` or `raw`."""
    name = escape(mail.id)
    shown = {
        "html": f'<iframe title="The mail" sandbox="allow-popups allow-popups-to-escape-sandbox"'
        f' src="/mails/{name}/content"></iframe>',
        "text": f"<pre>{escape(mail.body('plain') or 'It has no text.')}</pre>",
        "raw": f"<pre>{escape(mail.raw)}</pre>",
    }[form]
    headers = "".join(
        f"<dt class=quiet>{escape(header)}</dt><dd>{escape(str(mail.parsed[header]))}</dd>"
        for header in ("From", "To", "Reply-To", "Date", "X-Holdfast-Message-Id")
        if mail.parsed[header]
    )
    links = " ".join(
        f'<a href="/mails/{name}?form={each}"{" aria-current=page" if each == form else ""}>{each}</a>'
        for each in ("html", "text", "raw")
    )
    body = (
        f'<p><a href="/">All mails</a></p><h1>{escape(mail.subject)} {_fate(mail)}</h1>'
        f"<dl>{headers}</dl><nav>{links}</nav>{shown}"
    )
    return _page(mail.subject, body)


def content(mail: StoredMail) -> str:
    """Return the mail's own HTML for the frame. Its links open in a page of their own."""
    html = mail.body("html") or f"<pre>{escape(mail.body('plain') or '')}</pre>"
    return html.replace("<head>", '<head><base target="_blank">', 1)


def _fate(mail: StoredMail) -> str:
    return "" if mail.fate == "delivered" else f' <span class="fate">{escape(mail.fate)}</span>'


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
