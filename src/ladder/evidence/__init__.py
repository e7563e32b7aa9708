"""Evidence: curves of earlier runs, stored under a fingerprint of everything that produced them."""
