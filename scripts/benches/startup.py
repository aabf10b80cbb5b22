"""Wall time of each verb as a whole process, beside `python -c pass` in the same round.

The store holds one finished run; no daemon runs beside the verbs. `start` is timed from the command to the line that
says the firm is open, with a local Alpaca that runs already. Processor time tells on a busy machine what wall time
hides.

Python keeps its bytecode, as it does unless told otherwise; `submit_uncompiled` shows what a machine pays that keeps
none (PYTHONDONTWRITEBYTECODE, a read-only checkout) and has none from before.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from scripts.benches import trading
from scripts.benches.world import FIRM, daemon, firm_env, local_alpaca, unseeing

ROUNDS = 9
SELLS = 5
BUYS = 11
STARTS = "start_to_ready"
BARE = "python_pass"
TARGETS_MS = {"help": 300, "submit": 700, "status": 700, "status_run": 700}
STOP_LIMIT_S = 5.0
READY = b"the firm is open"


def run(rounds: int = ROUNDS) -> dict[str, Any]:
    """Measure.

    Args:
        rounds: How often each verb is run; they take turns.
    """
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        with local_alpaca(folder, trading.account_state(sells=SELLS, buys=BUYS)) as server:
            with daemon(folder, server.url) as firm:
                run_id = trading.run_once(firm, trading.plan("STARTUP", sells=SELLS, buys=BUYS))
            env = keeping_bytecode(firm_env(folder, server.url), folder)
            took: dict[str, list[tuple[float, float]]] = {}
            for number in range(rounds + 1):
                for verb, measure in _verbs(folder, env, run_id, number).items():
                    figures = measure()
                    if number:  # the first round warms the disk's cache
                        took.setdefault(verb, []).append(figures)
    return summary(took)


def _verbs(
    folder: Path, env: Mapping[str, str], run_id: str, number: int
) -> dict[str, Callable[[], tuple[float, float]]]:
    """What is run in one round, in this order: a plan is approved, then handed in."""
    path = folder / f"plan_{number}.yaml"
    path.write_text(trading.plan(f"STARTUP_{number}", sells=SELLS, buys=BUYS), encoding="utf-8")
    words = {
        "help": ["--help"],
        "approve": ["approve", str(path), "--yes"],
        "submit": ["submit", str(path)],
        "status": ["status"],
        "status_run": ["status", run_id],
        "report": ["report", run_id],
        "tail": ["tail", "--run", run_id],
        "halt": ["halt", "--reason", "bench"],
        "resume": ["resume"],
        "verify": ["verify"],
    }
    verbs: dict[str, Callable[[], tuple[float, float]]] = {
        BARE: lambda: whole_process([sys.executable, "-c", "pass"], env),
    }
    for name, line in words.items():
        verbs[name] = _command(line, env)
    other = folder / f"uncompiled_{number}.yaml"
    other.write_text(trading.plan(f"UNCOMPILED_{number}", sells=SELLS, buys=BUYS), encoding="utf-8")
    trading.inside(unseeing(env), "approve", str(other), "--yes")
    bare_env = {**env, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": str(folder / "none")}
    verbs["submit_uncompiled"] = _command(["submit", str(other)], bare_env)
    return verbs | {STARTS: lambda: until_ready(env)}


def keeping_bytecode(env: Mapping[str, str], folder: Path) -> dict[str, str]:
    """An environment whose Python keeps its bytecode, in a folder of its own: the first round fills it."""
    kept = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def _command(words: list[str], env: Mapping[str, str]) -> Callable[[], tuple[float, float]]:
    return lambda: whole_process([str(FIRM), *words], env)


def whole_process(command: list[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Run a process to its end: milliseconds by the wall, and of the processor.

    Raises:
        RuntimeError: It said that something is wrong.
    """
    begun = time.perf_counter()
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    with process:
        said = process.stderr.read() if process.stderr else b""
        _, status, used = os.wait4(process.pid, 0)
        took_ms = (time.perf_counter() - begun) * 1000
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}: {said.decode()}")
    return took_ms, (used.ru_utime + used.ru_stime) * 1000


def until_ready(env: Mapping[str, str]) -> tuple[float, float]:
    """Run `firm start` until it says that the firm is open, then stop it; figures as `whole_process`, the stop apart.

    Raises:
        RuntimeError: It said something else.
    """
    begun = time.perf_counter()
    with subprocess.Popen([str(FIRM), "start"], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        line = process.stdout.readline() if process.stdout else b""
        took_ms = (time.perf_counter() - begun) * 1000
        used_ms = _cpu_ms(process.pid)
        errors = _stop(process)
    if not line.startswith(READY):
        raise RuntimeError(f"expected firm start to say {READY.decode()!r}, it said {line + errors!r}")
    return took_ms, used_ms


def _stop(process: "subprocess.Popen[bytes]") -> bytes:
    """Stop a daemon, by force if it doesn't heed SIGTERM; what it said on stderr."""
    process.terminate()
    try:
        return process.communicate(timeout=STOP_LIMIT_S)[1]
    except subprocess.TimeoutExpired:
        process.kill()
        sys.stderr.write(f"bench: a daemon didn't stop within {STOP_LIMIT_S:g} s of SIGTERM and was killed\n")
        return process.communicate()[1]


def _cpu_ms(pid: int) -> float:
    from scripts.benches.footprint import cpu_s

    try:
        return cpu_s(pid) * 1000
    except (FileNotFoundError, ProcessLookupError):
        return 0.0  # it has died; its words tell why


def summary(took: Mapping[str, list[tuple[float, float]]]) -> dict[str, Any]:
    """Medians, and the median of the ratios to bare Python's wall time of the same round.

    Args:
        took: verb -> (wall ms, processor ms) of each round; `python_pass` among them.
    """
    bare = [wall for wall, _ in took[BARE]]
    return {
        "rounds": len(bare),
        "wall_ms": {verb: round(median(wall for wall, _ in rows), 1) for verb, rows in took.items()},
        "cpu_ms": {verb: round(median(cpu for _, cpu in rows), 1) for verb, rows in took.items()},
        "to_bare_python": {
            verb: round(median(wall / base for (wall, _), base in zip(rows, bare, strict=True)), 1)
            for verb, rows in took.items()
            if verb != BARE
        },
        "targets": {f"wall_ms.{verb}": f"under {limit} ms" for verb, limit in TARGETS_MS.items()},
    }
