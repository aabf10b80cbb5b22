"""The CEO: the two-phase machine."""
