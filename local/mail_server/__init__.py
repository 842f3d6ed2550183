"""A mail service on this machine: takes them as Amazon SES v2 does, keeps and shows them; imports nothing of ours."""
