"""The built artefacts at work: every function that `sam build` made answers its sample events, as Lambda would run it."""
