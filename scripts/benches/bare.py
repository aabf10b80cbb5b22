"""What the firm is measured against: a bare alpaca-py script without journal, proof or checks. A process of its own.

`stream`: on the last SELL's fill event one account GET, then the BUYs from a thread pool. `poll`: looks at the orders
every 2 s. Reads one line a round from stdin (a JSON list of orders), answers one line when all BUYs are answered.
"""

import json
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

POLL_S = 2.0
WORKERS = 4


def main(kind: str, url: str, key: str) -> None:
    """Serve rounds until stdin ends."""
    from alpaca.trading.client import TradingClient
    from alpaca.trading.enums import OrderSide, TimeInForce
    from alpaca.trading.requests import MarketOrderRequest
    from alpaca.trading.stream import TradingStream

    local = threading.local()

    def client() -> TradingClient:
        if not hasattr(local, "client"):
            local.client = TradingClient(key, "secret", paper=True, url_override=url, raw_data=True)
        return local.client

    def place(order: dict[str, str]) -> None:
        client().submit_order(
            MarketOrderRequest(
                symbol=order["symbol"],
                qty=float(order["qty"]),
                side=OrderSide(order["side"]),
                time_in_force=TimeInForce.DAY,
            )
        )

    filled: set[str] = set()
    changed = threading.Condition()

    async def on_update(frame: dict[str, Any]) -> None:
        update = frame["data"]
        if update["event"] == "fill":
            with changed:
                filled.add(update["order"]["symbol"])
                changed.notify_all()

    def by_stream(symbols: set[str]) -> None:
        with changed:
            changed.wait_for(lambda: symbols <= filled, timeout=30)

    def by_poll(symbols: set[str]) -> None:
        while True:
            time.sleep(POLL_S)
            orders: Any = client().get("/orders", {"status": "open"})
            if not symbols & {order["symbol"] for order in orders if order["side"] == "sell"}:
                return

    wait: Callable[[set[str]], None] = by_poll
    if kind == "stream":
        stream = TradingStream(
            key, "secret", paper=True, url_override=url.replace("http", "ws") + "/stream", raw_data=True
        )
        stream.subscribe_trade_updates(on_update)
        threading.Thread(target=stream.run, daemon=True).start()
        wait = by_stream
    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(lambda _: client().get_account(), range(WORKERS * 2)))  # warm connections
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            orders = json.loads(line)
            sells = [order for order in orders if order["side"] == "sell"]
            filled.clear()
            list(pool.map(place, sells))
            wait({order["symbol"] for order in sells})
            client().get_account()
            list(pool.map(place, [order for order in orders if order["side"] == "buy"]))
            sys.stdout.write("done\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
