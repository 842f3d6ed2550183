"""The whole of Holdfast on one machine: `python -m local run`.

Nothing in here is deployed. It reads template.yaml and gives every resource that the template names a local stand-in:
an embedded PostgreSQL, an AWS emulation, an HTTP gateway, queue pollers and a clock. The handlers are the real ones.
"""
