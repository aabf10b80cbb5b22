"""Trading: the only department that touches the world."""
