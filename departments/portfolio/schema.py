"""The portfolio database's tables, and what is shown of them. Pure."""

from dataclasses import fields
from typing import Final

from departments.portfolio.records import RunRecord

SCHEMA_VERSION = 1
"""Raise it with every change below: a file of another version is made anew."""
_RUN_COLUMNS = tuple(field.name for field in fields(RunRecord))
SCHEMA: Final = f"""
CREATE TABLE identity (account TEXT NOT NULL, account_number TEXT NOT NULL);
CREATE TABLE fills (activity_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, symbol TEXT NOT NULL, side TEXT NOT NULL,
                    qty TEXT NOT NULL, price TEXT NOT NULL, at TEXT NOT NULL);
CREATE INDEX fills_by_symbol ON fills (symbol);
CREATE INDEX fills_by_time ON fills (at);
CREATE TABLE positions (symbol TEXT PRIMARY KEY, qty TEXT NOT NULL, avg_entry_price TEXT NOT NULL, entered_at TEXT,
                        entry_day TEXT, entry_order_id TEXT, unknown_because TEXT);
CREATE TABLE lots (symbol TEXT NOT NULL, number INTEGER NOT NULL, activity_id TEXT NOT NULL, qty TEXT NOT NULL,
                   PRIMARY KEY (symbol, number));
CREATE TABLE equity (day TEXT PRIMARY KEY, equity TEXT NOT NULL);
CREATE TABLE days (day TEXT PRIMARY KEY, opens_at TEXT NOT NULL, closes_at TEXT NOT NULL);
CREATE TABLE runs ({", ".join(_RUN_COLUMNS)}, PRIMARY KEY (run_id));
CREATE TABLE orders (order_id TEXT PRIMARY KEY, client_order_id TEXT NOT NULL, run_id TEXT NOT NULL, leg TEXT NOT NULL);
CREATE TABLE looks (run_id TEXT NOT NULL, at TEXT NOT NULL, held TEXT NOT NULL);
PRAGMA user_version = {SCHEMA_VERSION};
"""
EXPORTS: Final = {
    "fills": """
        SELECT activity_id, at, symbol, side, qty, price, order_id, client_order_id, run_id, leg
        FROM fills LEFT JOIN orders USING (order_id) ORDER BY at, activity_id""",
    "positions": """
        SELECT symbol, qty, avg_entry_price, entered_at, entry_day, entry_order_id, run_id AS entry_run_id,
               leg AS entry_leg, (SELECT count(*) FROM lots WHERE lots.symbol = positions.symbol) AS lots,
               unknown_because
        FROM positions LEFT JOIN orders ON orders.order_id = entry_order_id ORDER BY symbol""",
    "lots": """
        SELECT lots.symbol, number, lots.qty, price, at, activity_id, order_id, client_order_id, run_id, leg
        FROM lots JOIN fills USING (activity_id) LEFT JOIN orders USING (order_id) ORDER BY lots.symbol, number""",
    "equity": "SELECT day, equity FROM equity ORDER BY day",
    "runs": "SELECT * FROM runs ORDER BY accepted_at, run_id",
}
"""What can be shown, and how: money and quantities as text, times ISO-8601 UTC, nothing where nothing is known."""
