"""A Stripe on this machine, over real HTTP: intents, charges, refunds, idempotency keys, signed webhooks, and faults.

It shares no code with the adapter it is talked to by, so that a mistake there cannot be mirrored here; its answers are
held against the models of Stripe's own SDK. ``python -m local.stripe_server --port 12111`` starts it. What it does on
command (declines, timeouts, late webhooks) is set under ``/_control``; see ``control.py``.
"""
