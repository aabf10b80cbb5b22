"""Sixty SELLs and sixty BUYs within the broker's limit of requests, at four brokers side by side.

| broker | what it does | what is run |
|---|---|---|
| `free` | no limit that is ever met | one plan: how long the work itself takes |
| `at_200` | 200 a minute, says so in its headers | `rounds` plans at once; the first fits, the next must wait |
| `says_100` | 100 a minute, says so; our own setting stays 200 | one plan |
| `silent_100` | 100 a minute, says nothing, answers 429; ours stays 200 | one plan |
| `sells` | 50 a minute, says nothing | a plan of SELLs alone: the last ten meet the limit, the looks at orders too |
| `cancels` | as `silent_100`, no SELL fills | one plan, aborted once its SELLs are out: as many cancels |

The bound: a window of a minute rolls, so the n-th request can't be admitted sooner than a minute after the one `limit`
places before it; reckoned as if all before had come at once. `over_own_pace_percent` takes the first `limit` requests
as they came: the rest is the pacer's doing alone, however busy the machine. Limits can be scaled, the minute can't: a
run that meets its limit takes a minute of real time, so the brokers run side by side - begun `APART_S` after one
another, so that none's burst, a minute later the second one, falls into another's.
"""

import select
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.benches import trading
from scripts.benches.world import Daemon, Server, daemon, firm_env, local_alpaca, wait_for

ROUNDS = 2
LEGS = 60
WINDOW_S = 60.0
APART_S = 5.0
SETTINGS = 200
UNLIMITED = 10_000
LIMIT_S = 240.0
SCENES: Mapping[str, tuple[int, bool]] = {
    "free": (100_000, True),
    "at_200": (200, True),
    "says_100": (100, True),
    "silent_100": (100, False),
    "sells": (50, False),
    "cancels": (100, False),
}
"""Name -> the broker's requests a minute, and whether its headers tell of them."""

Request = Mapping[str, Any]


def run(rounds: int = ROUNDS, legs: int = LEGS) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: Plans handed in at once to the broker `at_200`.
        legs: SELLs of a plan, and as many BUYs.
    """
    with tempfile.TemporaryDirectory(prefix="bench.") as folder, ThreadPoolExecutor(len(SCENES)) as pool:
        futures = {
            name: pool.submit(_scene, Path(folder) / name, name, rounds, legs, place * APART_S)
            for place, name in enumerate(SCENES)
        }
        figures: dict[str, Any] = {name: future.result() for name, future in futures.items()}
    return figures | {
        "targets": {
            "at_200.refused_429": "0",
            "says_100.refused_429": "0",
            "at_200.over_bound_percent": "at most 5",
            "says_100.over_bound_percent": "at most 5",
            "silent_100.refused_429": "no storm",
            "silent_100.most_429_a_second": "at most 4, the desk's workers",
            "cancels.most_429_a_second": "at most 4, the desk's workers",
            "sells.most_429_a_second": "at most 4, the desk's workers",
            "sells.overtaken_sells": "at most 4, what was out already",
            "cancels.overtaken_cancels": "at most 4, what was out already",
        }
    }


def _scene(folder: Path, name: str, rounds: int, legs: int, begins_in_s: float) -> dict[str, Any]:
    select.select([], [], [], begins_in_s)
    folder.mkdir()
    limit, headers = SCENES[name]
    state = trading.account_state(sells=legs, buys=legs, rate_limit={"requests_per_minute": limit, "headers": headers})
    with local_alpaca(folder, state) as server:
        env = firm_env(folder, server.url)
        trading.change_config(
            Path(env["FIRM_CONFIG"]),
            hard_constraints={"max_positions_total": 1000},
            trading_config={"requests_per_minute": UNLIMITED if name == "free" else SETTINGS},
        )
        with daemon(folder, server.url) as firm:
            if name == "cancels":
                return _cancels(server, firm, legs, limit)
            buys = 0 if name == "sells" else legs
            plans = [
                trading.plan(f"PACING_{number}", sells=legs, buys=buys)
                for number in range(rounds if name == "at_200" else 1)
            ]
            return _plans(server, firm, plans, limit)


def _plans(server: Server, firm: Daemon, plans: Sequence[str], limit: int) -> dict[str, Any]:
    log = trading.LogReader(firm.home)
    before = len(server.get("/paper/requests"))
    runs = [trading.hand_in(firm.env, plan, firm.home) for plan in plans]
    ended = [log.wait_end(run_id, LIMIT_S)["event"] for run_id in runs]
    requests = server.get("/paper/requests")
    outcomes = Counter(ended)
    statuses = Counter(leg["status"] for run_id in runs for leg in trading.view(firm.env, run_id)["legs"])
    return {"outcomes": dict(outcomes), "legs": dict(statuses), **summary(requests, before, limit)}


def _cancels(server: Server, firm: Daemon, legs: int, limit: int) -> dict[str, Any]:
    trading.tell(server, "/paper/faults", [{"on": "POST /v2/orders", "side": "sell", "do": "fill", "fill": "none"}])
    log = trading.LogReader(firm.home)
    before = len(server.get("/paper/requests"))
    run_id = trading.hand_in(firm.env, trading.plan("PACING", sells=legs, buys=legs), firm.home)
    wait_for(lambda: len(server.get("/paper/orders")) == legs, LIMIT_S, "the SELLs to be out")
    trading.inside(firm.env, "abort", run_id)
    ended = log.wait_for("run.aborted", "run.held", run_id=run_id, limit_s=LIMIT_S)["event"]
    requests = server.get("/paper/requests")
    statuses = Counter(order["status"] for order in server.get("/paper/orders"))
    return {"outcomes": {ended: 1}, "orders": dict(statuses), **summary(requests, before, limit)}


def summary(requests: Sequence[Request], before: int, limit: int) -> dict[str, Any]:
    """What the limited door of the broker saw.

    Args:
        requests: All of them, as the control API lists them.
        before: How many had been made before the first plan.
        limit: Of the broker, a minute.
    """
    limited = [one for one in requests if one["path"].startswith("/v2/") and not _is_data(one)]
    earlier = sum(1 for one in requests[:before] if one["path"].startswith("/v2/") and not _is_data(one))
    mine = limited[earlier:]
    refused = [one for one in mine if one["status"] == 429]
    admitted = [one for one in limited if one["status"] != 429]
    times = [_at(one) for one in admitted]
    first = sum(1 for one in limited[:earlier] if one["status"] != 429)
    makespan_s, bound_s = times[-1] - times[first], bound(times, first, first, limit)
    own_pace_s = bound(times, first, max(first, limit - 1), limit)
    return {
        "requests": len(mine),
        "refused_429": len(refused),
        "requests_per_429": round(len(mine) / len(refused), 1) if refused else "none refused",
        "most_429_a_second": _most_within(1.0, [_at(one) for one in refused]),
        "makespan_s": round(makespan_s, 2),
        "bound_s": round(bound_s, 2),
        "over_bound_percent": _over_percent(makespan_s, bound_s),
        "over_own_pace_percent": _over_percent(makespan_s, own_pace_s) if bound_s else "bound is 0",
        "overtaken_sells": overtaken(mine, method="POST", side="sell"),
        "overtaken_cancels": overtaken(mine, method="DELETE"),
    }


def bound(times: Sequence[float], first: int, fixed: int, limit: int) -> float:
    """The least seconds from request `first` to the last one that a rolling minute of `limit` requests allows.

    Args:
        times: When each request was admitted, in order.
        first: Index of the request that is reckoned from.
        fixed: Requests up to this one stand as they were, `first` or later ones.
        limit: Requests in any minute.
    """
    soonest = list(times[: fixed + 1])
    for place in range(fixed + 1, len(times)):
        freed = soonest[place - limit] + WINDOW_S if place >= limit else soonest[-1]
        soonest.append(max(soonest[-1], freed))
    return soonest[-1] - soonest[first]


def overtaken(requests: Sequence[Request], *, method: str, side: str | None = None) -> int | str:
    """How many others were admitted after the first such request was refused with 429 and before the last one passed.

    Args:
        requests: In order.
        method: POST or DELETE, of orders.
        side: Of a POST.
    """

    def is_one(one: Request) -> bool:
        if one["method"] != method or not one["path"].startswith("/v2/orders"):
            return False
        return side is None or (isinstance(one["body"], dict) and one["body"].get("side") == side)

    begun = next((n for n, one in enumerate(requests) if is_one(one) and one["status"] == 429), None)
    if begun is None:
        return "none refused"
    last = max(n for n, one in enumerate(requests) if is_one(one))
    return sum(1 for one in requests[begun:last] if not is_one(one) and one["status"] != 429)


def _over_percent(makespan_s: float, bound_s: float) -> float | str:
    return round((makespan_s / bound_s - 1) * 100, 1) if bound_s else "bound is 0"


def _is_data(one: Request) -> bool:
    return bool(one["path"].startswith("/v2/stocks/"))


def _at(one: Request) -> float:
    return datetime.fromisoformat(one["at"]).timestamp()


def _most_within(span_s: float, times: Sequence[float]) -> int:
    return max((sum(1 for later in times if at <= later < at + span_s) for at in times), default=0)
