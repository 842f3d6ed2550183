"""A Square on this machine, over real HTTP: payments, delayed capture, refunds, idempotency keys, signed webhooks.

It shares no code with the adapter that calls it; its answers are checked against the models of Square's own SDK.
``python -m local.square_server --port 12112`` starts it. Faults and outcomes are commanded under ``/_control``; see
``control.py``. Every access token (``Authorization: Bearer``) is a seller of its own.
"""
