"""An Adyen on this machine, over real HTTP: Checkout v72, modifications that are decided later, signed webhooks.

It shares no code with the adapter that calls it; its requests and answers are checked against what Adyen publishes.
``python -m local.adyen_server --port 12113`` starts it. Faults and outcomes are commanded under ``/_control``; see
``control.py``. Every API key (``X-API-Key``) is a company of its own, with any number of merchant accounts.
"""
