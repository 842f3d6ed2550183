"""An Adyen on this machine, over real HTTP: Checkout v72, modifications that are decided later, signed webhooks.

It shares no code with the adapter it is talked to by; what it takes and answers is held against what Adyen publishes.
``python -m local.adyen_server --port 12113`` starts it. What it does on command is set under ``/_control``; see
``control.py``. Every API key (``X-API-Key``) is a company of its own, with any merchant accounts.
"""
