"""What the gateway servers on this machine have in common: hosting, faults on command, idempotency, webhooks, control.

Nothing in here knows a vendor, and neither this package nor the servers built on it know the adapters that talk to
them, so that a mistake in an adapter cannot be mirrored here.
"""
