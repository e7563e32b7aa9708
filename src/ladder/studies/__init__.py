"""The case studies: guests of the harness, which needs none of them."""
