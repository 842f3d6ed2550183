"""A mail service on this machine.

It accepts mails as Amazon SES v2 does, keeps and shows them, and imports nothing of the product.
"""
