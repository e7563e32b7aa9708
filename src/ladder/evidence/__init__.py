"""Evidence: curves of earlier runs, filed under a fingerprint of all that produced them."""
