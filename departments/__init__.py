"""The firm's departments."""
