"""A local Alpaca: the trading API, market data and the trade_updates stream, to try things out and to break them."""
