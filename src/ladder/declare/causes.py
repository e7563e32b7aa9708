"""The names of the causes that a diagnosis can find."""

CAUSES = (
    "raised",
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
    "first-departure",
)
"""Names of findings, in order of precedence among those of one place; ``docs/findings.md`` says what each means."""


def is_own_finding(name: str) -> bool:
    """Return whether a name is that of a finding that a user has written, which has a dot."""
    return "." in name
