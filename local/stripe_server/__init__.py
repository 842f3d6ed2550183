"""A Stripe on this machine, over real HTTP: intents, charges, refunds, idempotency keys, signed webhooks, and faults.

It shares no code with the adapter that calls it, so that a mistake there cannot be mirrored here; its answers are
checked against the models of Stripe's own SDK. ``python -m local.stripe_server --port 12111`` starts it. Faults on
command (declines, timeouts, late webhooks) are set under ``/_control``; see ``control.py``.
"""
