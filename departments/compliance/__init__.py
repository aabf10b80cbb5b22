"""Compliance: the plan against the rulebook."""
