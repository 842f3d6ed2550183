"""A PayPal on this machine, over real HTTP: access tokens, orders, authorizations, captures, refunds, request ids, and
webhooks signed with a certificate whose chain it creates and serves itself.

It shares no code with the adapter that calls it, so that a mistake there cannot be mirrored here; its answers are
checked against the fields that PayPal publishes. ``python -m local.paypal_server --port 12112`` starts it. Faults on
command (declines, timeouts, late webhooks) and what the buyer does are set under ``/_control``; see ``control.py``.
"""
