from hypothesis import settings

# The rules are pure functions, so how long an example takes says something about the machine, not about the rule.
settings.register_profile("domains", deadline=None)
settings.load_profile("domains")
