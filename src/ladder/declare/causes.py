"""The causes that a diagnosis can come to, by name."""

CAUSES = (
    "non-finite",
    "never-moves",
    "large-updates",
    "exploding-gradient",
    "vanishing-gradient",
    "small-updates",
    "sampling-noise",
    "off-by-one",
    "gamed",
    "collapsed-latent",
    "squashed-amplitude",
    "too-few-steps",
    "below-floor",
)
"""Names of findings, in the order in which they are looked for; ``docs/findings.md`` says what each means."""
