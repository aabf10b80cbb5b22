"""The account and the plan of 2025-11-10, as figures."""

from decimal import Decimal
from typing import Any

HOLDINGS = {
    "ACGL": ("101", "88.62", "89.21"),
    "APH": ("58", "139.34", "142.63"),
    "APO": ("54", "129.58", "134.2775"),
    "AZN": ("80", "84.63", "86.65"),
    "BMY": ("109", "46.54", "47.08"),
    "CFG": ("98", "51.82", "52.27"),
    "CTVA": ("190", "62.8", "64.64"),
    "DVN": ("225", "32.61", "33.61"),
    "EIX": ("214", "55.44", "57.402"),
    "EQT": ("89", "56.3501", "58.495"),
    "EXE": ("45", "111.13", "112.5775"),
    "FITB": ("118", "42.57", "43.13"),
    "HST": ("432", "17.11", "18.005"),
    "MNST": ("83", "71.8711", "69.72"),
    "NVDA": ("37", "190.747", "194.6501"),
    "PDD": ("44", "136.14", "137.09"),
    "PLD": ("40", "124.25", "125.37"),
    "QCOM": ("74", "172.3", "173.14"),
    "SLB": ("185", "36.5", "36.44"),
    "SYF": ("82", "75.0", "73.97"),
    "UPS": ("70", "94.46", "93.58"),
    "WFC": ("114", "87.6", "86.76"),
}
SELLS = ("CTVA", "DVN", "EXE", "PLD", "UPS")
BUYS = {
    "COMM": ("210", "16.992", "74.8"),
    "ALKS": ("108", "33.01", "73.6"),
    "CRDO": ("20", "170.77", "72.8"),
    "BANC": ("118", "17.29", "72.8"),
    "AXTA": ("123", "28.97", "70.4"),
    "SN": ("37", "95.185", "68.0"),
    "CVE": ("163", "17.575", "67.2"),
    "ESI": ("86", "27.715", "66.8"),
    "BKR": ("59", "48.045", "65.6"),
    "DBX": ("92", "30.93", "65.2"),
    "BBIO": ("45", "62.71", "64.8"),
}
CASH = Decimal("-64137.45")


def account(**changes: Any) -> dict[str, Any]:
    """The local Alpaca's state file of that day."""
    state: dict[str, Any] = {
        "cash": str(CASH),
        "positions": [
            {"symbol": symbol, "qty": qty, "avg_entry_price": entry, "price": price}
            for symbol, (qty, entry, price) in HOLDINGS.items()
        ],
        "prices": {symbol: price for symbol, (_, price, _) in BUYS.items()},
    }
    return state | changes


def plan(
    sells: tuple[str, ...] = SELLS,
    buys: tuple[str, ...] = tuple(BUYS),
    plan_id: str = "PLAN_20251110_070542",
    **top: str,
) -> str:
    """The plan file of that day, or a part of it."""
    lines = [f"plan_id: {plan_id}", "account: paper", *(f"{key}: {value}" for key, value in top.items()), "trades:"]
    for symbol in sells:
        qty, _, price = HOLDINGS[symbol]
        lines.append(f'  - {{symbol: {symbol}, side: sell, qty: "{qty}", reference_price: "{price}"}}')
    for symbol in buys:
        qty, price, score = BUYS[symbol]
        lines.append(f'  - {{symbol: {symbol}, side: buy, qty: "{qty}", reference_price: "{price}", score: "{score}"}}')
    if not sells and not buys:
        lines[-1] = "trades: []"
    return "\n".join(lines) + "\n"
