"""Durable inboxes and the journal."""
