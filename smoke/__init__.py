"""Checks that a deployed system does what it promises: an order is placed, refusals are refused, webhooks are heard."""
