"""The built artefacts at work: each function that `sam build` made answers its samples, as Lambda would run it."""
