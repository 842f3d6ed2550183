"""What the gateways on this machine have in common: hosting, faults on command, idempotency, webhooks, control.

Nothing in here knows a vendor, and nothing in here or in the servers built on it knows the adapters that talk to them,
so that a mistake there cannot be mirrored here.
"""
