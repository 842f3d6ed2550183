"""The built artefacts at work: each function that `sam build` produced answers its samples, as Lambda would run it."""
