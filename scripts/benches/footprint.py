"""Memory and idle processor time of the daemon, from /proc: at rest over a minute, then its growth over many runs."""

import os
import select
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import linear_regression
from typing import Any

from scripts.benches import trading
from scripts.benches.world import daemon, local_alpaca

ROUNDS = 50
SELLS = 5
BUYS = 11
SETTLE_S = 3.0
TIMERS_PASS_S = 70.0
"""Timers of the last runs fire for a minute after them: that is work, not rest."""
REST_S = 60.0
SAMPLES = 20
TICKS_A_S = os.sysconf("SC_CLK_TCK")


def run(rounds: int = ROUNDS, rest_s: float = REST_S) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: Runs of five SELLs and eleven BUYs, 4 or more.
        rest_s: How long the daemon is watched at rest, before the first run and after the last; at least a tick.
    """
    with tempfile.TemporaryDirectory(prefix="bench.") as folder:
        state = trading.account_state(sells=SELLS, buys=BUYS)
        with (
            local_alpaca(Path(folder), state) as server,
            daemon(Path(folder), server.url, settings={"requests_per_minute": 10_000}) as firm,
        ):
            pid = firm.process.pid
            _rest(SETTLE_S)
            fresh = rss_mb(pid), _idle_percent(pid, rest_s)
            sizes = [(0, rss_mb(pid))]
            every = max(1, rounds // SAMPLES)
            before_s = cpu_s(pid)
            for number in range(1, rounds + 1):
                trading.run_once(firm, trading.plan(f"FOOTPRINT_{number}", sells=SELLS, buys=BUYS))
                if number % every == 0:
                    sizes.append((number, rss_mb(pid)))
            busy_s = cpu_s(pid) - before_s
            _rest(TIMERS_PASS_S)
            after = rss_mb(pid), _idle_percent(pid, rest_s)
            peak = _status_mb(pid, "VmHWM")
    return {
        "rss_mb": round(fresh[0], 1),
        "idle_percent": round(fresh[1], 3),
        "runs": rounds,
        "rss_after_mb": round(after[0], 1),
        "rss_peak_mb": round(peak, 1),
        "idle_after_percent": round(after[1], 3),
        "growth_kb_a_run": growth_kb(sizes),
        "cpu_ms_a_run": round(busy_s / rounds * 1000, 1),
        "targets": {
            "rss_mb": "below 130",
            "rss_after_mb": "below 130",
            "idle_percent": "below 0.3 of a core",
            "idle_after_percent": "below 0.3 of a core",
        },
    }


def growth_kb(sizes: Sequence[tuple[int, float]]) -> float:
    """KiB a run: the slope over the second half, when caches that are bounded have filled up.

    Args:
        sizes: (runs so far, MiB), four or more, in order.
    """
    late = sizes[len(sizes) // 2 :]
    return round(linear_regression([runs for runs, _ in late], [size for _, size in late]).slope * 1024, 1)


def rss_mb(pid: int) -> float:
    """Resident memory of a process now, MiB. Source: proc(5), /proc/pid/status."""
    return _status_mb(pid, "VmRSS")


def cpu_s(pid: int) -> float:
    """Processor time of a process and all its threads, user and system, in ticks of the kernel. Source: proc(5)."""
    text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_S


def _idle_percent(pid: int, rest_s: float) -> float:
    before_s = cpu_s(pid)
    _rest(rest_s)
    return (cpu_s(pid) - before_s) / rest_s * 100


def _status_mb(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"expected {name} in /proc/{pid}/status, was not there")


def _rest(seconds: float) -> None:
    select.select([], [], [], seconds)
