"""The house's written rules, pure."""
