"""The case studies: experiments built on the harness, which does not depend on any of them."""
