"""Processes that benchmarks run against: a local Alpaca, a daemon, both started as a user starts them."""

import json
import os
import select
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent
FIRM = Path(sys.executable).parent / "firm"
START_LIMIT_S = 60.0
MANY_A_DAY = {"max_plans": None, "max_orders": None, "refuse_leg_done": False}
"""A benchmark runs the same plan again and again on one day; all other rules are as shipped."""


class Server:
    """A local Alpaca."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        """GET a JSON document of the control API."""
        with urllib.request.urlopen(self.url + path, timeout=30) as answer:  # noqa: S310 - a loopback address
            return json.load(answer)


@contextmanager
def local_alpaca(folder: Path, state: Mapping[str, Any]) -> Iterator[Server]:
    """Run a local Alpaca with this state."""
    path = folder / "state.yaml"
    path.write_text(json.dumps(state), encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "-m", "paper_alpaca", "--port", "0", "--state", str(path), "--seed", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line.startswith("listening on "):
                raise RuntimeError(f"expected the local Alpaca to listen, it said {line!r}")
            yield Server(line.removeprefix("listening on ").strip())
        finally:
            process.terminate()


class Daemon:
    """A running `firm start`, and the commands a person types beside it."""

    def __init__(self, home: Path, env: dict[str, str], process: "subprocess.Popen[bytes]") -> None:
        self.home = home
        self.env = env
        self.process = process

    def firm(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        """Run a command; its stdout."""
        done = subprocess.run(
            [str(FIRM), *words], env=env or self.env, capture_output=True, text=True, timeout=60, check=False
        )
        if done.returncode not in {0, 3, 4, 5}:
            raise RuntimeError(f"firm {' '.join(words)}: exit {done.returncode}: {done.stderr}")
        return done.stdout.strip()

    def submit(self, plan: str) -> str:
        """Approve and submit a plan; its run id."""
        path = self.home / "plan.yaml"
        path.write_text(plan, encoding="utf-8")
        approval = Path(f"{path}.approval")
        approval.unlink(missing_ok=True)
        self.firm("approve", str(path), "--yes", env=unseeing(self.env))
        return self.firm("submit", str(path))

    def wait_end(self, run_id: str, limit_s: float = 60.0) -> dict[str, Any]:
        """Wait until a run has ended; its report."""
        log = self.home / "logs" / "firm.jsonl"
        wait_for(lambda: f'"run_id": "{run_id}"' in _ended_lines(log), limit_s, f"run {run_id} to end")
        view: dict[str, Any] = json.loads(self.firm("report", run_id, "--json"))
        return view


def _ended_lines(log: Path) -> str:
    words = ('"run.completed"', '"run.aborted"', '"run.rejected"', '"run.expired"')
    text = log.read_text(encoding="utf-8")
    return "\n".join(line for line in text.splitlines() if any(word in line for word in words))


def firm_env(folder: Path, url: str, key: str = "BENCH") -> dict[str, str]:
    """An environment with a FIRM_HOME and a FIRM_CONFIG of its own."""
    home, config = folder / "home", folder / "config"
    home.mkdir(parents=True, exist_ok=True)
    if not config.exists():
        shutil.copytree(ROOT / "config", config)
        set_keys(config / "compliance_config.yaml", MANY_A_DAY)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("APCA_", "FIRM_"))}
    return kept | {
        "FIRM_HOME": str(home),
        "FIRM_CONFIG": str(config),
        "APCA_API_KEY_ID": key,
        "APCA_API_SECRET_KEY": "secret",
        "APCA_API_BASE_URL": url,
    }


def unseeing(env: Mapping[str, str]) -> dict[str, str]:
    """An environment in which approving asks the broker nothing: its requests are no part of what is measured."""
    return {name: value for name, value in env.items() if name != "APCA_API_KEY_ID"}


def set_keys(path: Path, values: Mapping[str, object]) -> None:
    """Change values of a configuration file, each by the last word of its key."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for name, value in values.items():
        at = next(at for at, line in enumerate(lines) if line.strip().startswith(f"{name}:"))
        indent = lines[at][: len(lines[at]) - len(lines[at].lstrip())]
        lines[at] = f"{indent}{name}: {json.dumps(value)}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextmanager
def daemon(folder: Path, url: str, key: str = "BENCH", settings: Mapping[str, int] | None = None) -> Iterator[Daemon]:
    """Run a daemon against a local Alpaca. `settings` changes keys of trading_config.yaml."""
    env = firm_env(folder, url, key)
    set_keys(Path(env["FIRM_CONFIG"]) / "trading_config.yaml", settings or {})
    home = Path(env["FIRM_HOME"])
    log = home / "logs" / "firm.jsonl"
    with subprocess.Popen([str(FIRM), "start"], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            wait_for(
                lambda: _alive(process) and log.exists() and '"firm.started"' in log.read_text(encoding="utf-8"),
                START_LIMIT_S,
                "the daemon to start",
            )
            yield Daemon(home, env, process)
        finally:
            process.terminate()
            process.wait(30)


def _alive(process: "subprocess.Popen[bytes]") -> bool:
    if process.poll() is None:
        return True
    said = process.stderr.read().decode() if process.stderr else ""
    raise RuntimeError(f"the daemon ended with {process.returncode}: {said}")


def wait_for(condition: Callable[[], bool], limit_s: float, what: str) -> None:
    """Wait until a condition holds.

    Raises:
        TimeoutError: It didn't within the limit.
    """
    ends = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > ends:
            raise TimeoutError(f"waited {limit_s} s for {what}")
        select.select([], [], [], 0.02)
