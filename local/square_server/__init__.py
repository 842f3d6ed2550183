"""A Square on this machine, over real HTTP: payments, delayed capture, refunds, idempotency keys, signed webhooks.

It shares no code with the adapter it is talked to by; its answers are held against the models of Square's own SDK.
``python -m local.square_server --port 12112`` starts it. What it does on command is set under ``/_control``; see
``control.py``. Every access token (``Authorization: Bearer``) is a seller of its own.
"""
