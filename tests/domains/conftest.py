from hypothesis import settings

# A rule is pure: how long one example takes says something of the machine and nothing of the rule.
settings.register_profile("domains", deadline=None)
settings.load_profile("domains")
