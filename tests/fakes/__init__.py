"""Fakes that mirror the ports; contract tests hold them to the real thing."""
