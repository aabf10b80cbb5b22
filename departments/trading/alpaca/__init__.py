"""The adapter to Alpaca: the only importer of alpaca-py."""
