"""A PayPal on this machine, over real HTTP: access tokens, orders, authorizations, captures, refunds, request ids, and
webhooks signed with a certificate whose chain it makes and serves itself.

It shares no code with the adapter it is talked to by, so that a mistake there cannot be mirrored here; its answers are
held against the fields PayPal publishes. ``python -m local.paypal_server --port 12112`` starts it. What it does on
command (declines, timeouts, late webhooks) and what the buyer does is set under ``/_control``; see ``control.py``.
"""
