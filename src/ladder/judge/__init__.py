"""Judging: from curves to a verdict, and limits measured on seeds of their own."""
