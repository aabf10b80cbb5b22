"""The firm command, a thin module a verb."""
