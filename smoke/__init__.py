"""Asks a deployed system whether it does what it promises: an order placed, refusals refused, webhooks heard."""
