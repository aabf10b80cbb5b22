"""The real firm as a user has it: processes started by the `firm` command, one FIRM_HOME, a local Alpaca beside it."""

import contextlib
import io
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest.mock import patch

from departments.executive.report import view_firm, view_run
from messages.mailroom.counter import SqlCounter
from messages.values import AccountName, RunId
from scripts.firm import main
from tests.paper import PaperAlpaca

ROOT = Path(__file__).resolve().parent.parent
FIRM = ROOT / ".venv" / "bin" / "firm"
ENDED = {"completed", "rejected", "aborted", "expired"}
START_LIMIT_S = 40.0
RUN_LIMIT_S = 60.0
LOOK_EVERY_S = 0.03


class Home:
    """A FIRM_HOME with a config of its own, and the commands a person types.

    Attributes:
        path: FIRM_HOME.
        config: FIRM_CONFIG.
    """

    def __init__(self, folder: Path, paper: PaperAlpaca | None, **settings: Mapping[str, object]) -> None:
        """Make it.

        Args:
            folder: An empty folder.
            paper: Where Alpaca is; None: nowhere.
            settings: By file name without `.yaml`: keys to set (`a.b` for nested ones). The position monitor is off
                unless told otherwise: whether it has something to do depends on the hour.
        """
        self.path = folder / "home"
        self.config = folder / "config"
        shutil.copytree(ROOT / "config", self.config)
        for file in self.config.glob("*.yaml"):
            file.chmod(0o600)  # whatever umask the checkout was made with
        operations = {"monitor.enabled": False, **settings.get("operations_config", {})}
        for name, changes in {**settings, "operations_config": operations}.items():
            _set(self.config / f"{name}.yaml", changes)
        self.plans = folder
        self.paper = paper
        self.daemon: subprocess.Popen[str] | None = None
        self._counter: SqlCounter | None = None
        self.env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("APCA_", "FIRM_")) and "proxy" not in key.lower()
        } | {
            "FIRM_HOME": str(self.path),
            "FIRM_CONFIG": str(self.config),
            "APCA_API_KEY_ID": "PKTEST",
            "APCA_API_SECRET_KEY": "not-a-secret",
            "APCA_API_BASE_URL": paper.url if paper else "http://127.0.0.1:9",
            "COLUMNS": "160",
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.daemon is not None:
            self.kill()
        if self._counter is not None:
            self._counter.close()
        if error is not None:
            sys.stderr.write(f"\n--- firm.jsonl of {self.path}\n{self.log_text()[-6000:]}\n")

    def firm(self, *words: str, limit_s: float = 30.0) -> subprocess.CompletedProcess[str]:
        """Run one command to its end."""
        return subprocess.run(
            [str(FIRM), *words], env=self.env, capture_output=True, text=True, timeout=limit_s, check=False
        )

    def inside(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run one command in this process: the same code as `firm`, without the half second of its imports."""
        said, complained = io.StringIO(), io.StringIO()
        with (
            patch.dict(os.environ, self.env, clear=True),
            contextlib.redirect_stdout(said),
            contextlib.redirect_stderr(complained),
        ):
            code = main(list(words))
        return subprocess.CompletedProcess(list(words), code, said.getvalue(), complained.getvalue())

    def launch(self, *words: str) -> None:
        """Start the daemon and don't wait for it."""
        self.daemon = subprocess.Popen(
            [str(FIRM), "start", *words], env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def start(self, *words: str) -> None:
        """Start the daemon and wait until it says so in its log."""
        before = self.log_text().count('"firm.started"')
        self.launch(*words)
        assert self.daemon is not None
        ends = time.monotonic() + START_LIMIT_S
        while self.log_text().count('"firm.started"') <= before:
            if self.daemon.poll() is not None:
                said = self.daemon.stdout.read() if self.daemon.stdout else ""
                raise RuntimeError(f"the daemon ended with {self.daemon.returncode}: {said}")
            if time.monotonic() > ends:
                self.kill()
                raise TimeoutError(f"the daemon did not start within {START_LIMIT_S} s")
            nap(0.02)

    def kill(self) -> None:
        """SIGKILL: nothing gets a chance to tidy up."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGKILL)
        self._reap()

    def stop(self, limit_s: float = 20.0) -> int:
        """SIGTERM, and the exit code."""
        assert self.daemon is not None
        self.daemon.send_signal(signal.SIGTERM)
        return self._reap(limit_s)

    def _reap(self, limit_s: float = 20.0) -> int:
        assert self.daemon is not None
        code = self.daemon.wait(limit_s)
        if self.daemon.stdout is not None:
            self.daemon.stdout.close()
        self.daemon = None
        return code

    def plan(self, text: str, name: str = "plan.yaml") -> Path:
        """Write a plan and approve it, without a look at the account: that is left to those who tell of it."""
        path = self.plans / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o600)
        keys = ("APCA_API_KEY_ID", "APCA_API_SECRET_KEY")
        with patch.object(self, "env", {name: value for name, value in self.env.items() if name not in keys}):
            approved = self.inside("approve", str(path), "--yes")
        assert approved.returncode == 0, approved
        return path

    def submit(self, text: str, name: str = "plan.yaml") -> str:
        """Approve a plan, hand it in and return its run id."""
        answer = self.inside("submit", str(self.plan(text, name)))
        assert answer.returncode == 0, answer
        return answer.stdout.strip()

    def status(self, run_id: str) -> dict[str, Any]:
        """What `firm status RUN --json` prints, read in this process."""
        return self.wait(run_id, lambda _: True)

    def firm_status(self) -> dict[str, Any]:
        """What `firm status --json` prints, read in this process."""
        return view_firm(self._journal())

    def status_by_command(self, run_id: str) -> dict[str, Any]:
        """`firm status RUN --json`, as a person types it."""
        answer = self.firm("status", run_id, "--json")
        assert answer.returncode in {0, 3, 4, 5}, answer
        return json.loads(answer.stdout)

    def _journal(self) -> SqlCounter:
        if self._counter is None:
            url = f"sqlite:///{self.path / 'firm.db'}"
            self._counter = SqlCounter.open(url=url, home=self.path, account=AccountName("paper"))
        return self._counter

    def wait(
        self, run_id: str, until: Callable[[dict[str, Any]], bool], limit_s: float = RUN_LIMIT_S
    ) -> dict[str, Any]:
        """Look at a run until `until` holds.

        Raises:
            TimeoutError: It didn't within the limit; the message shows the run.
        """
        ends = time.monotonic() + limit_s
        while True:
            view = view_run(self._journal(), RunId(run_id))
            if view is not None and until(view):  # None: on its way from the letterbox to the CEO
                return view
            if time.monotonic() > ends:
                raise TimeoutError(f"not within {limit_s} s: {json.dumps(view, indent=1)}")
            nap(LOOK_EVERY_S)

    def wait_phase(self, run_id: str, *phases: str, limit_s: float = RUN_LIMIT_S) -> dict[str, Any]:
        """Look at a run until it is in one of the phases."""
        return self.wait(run_id, lambda view: view["phase"] in phases, limit_s)

    def wait_end(self, run_id: str, limit_s: float = RUN_LIMIT_S) -> dict[str, Any]:
        """Look at a run until it has ended."""
        return self.wait_phase(run_id, *ENDED, limit_s=limit_s)

    def wait_log(self, event: str, limit_s: float = RUN_LIMIT_S, **fields: object) -> dict[str, Any]:
        """Wait for a line of the log by its event, and by fields where they are given."""
        ends = time.monotonic() + limit_s
        while True:
            found = self.logged(event, **fields)
            if found:
                return found[-1]
            if time.monotonic() > ends:
                raise TimeoutError(f"no {event} {fields or ''} within {limit_s} s")
            nap(LOOK_EVERY_S)

    def logged(self, event: str, **fields: object) -> list[dict[str, Any]]:
        """Lines of the log by their event, and by fields where they are given."""
        return [line for line in self.log() if line["event"] == event and fields.items() <= line.items()]

    def log_text(self) -> str:
        """The log as it stands."""
        path = self.path / "logs" / "firm.jsonl"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def log(self) -> list[dict[str, Any]]:
        """The log's lines."""
        return [json.loads(line) for line in self.log_text().splitlines() if line.endswith("}")]

    def sentences(self) -> list[str]:
        """What people read."""
        return [line["message"] for line in self.log()]


def nap(seconds: float) -> None:
    """Let others work for a moment, between two looks at a condition that has a limit."""
    select.select([], [], [], seconds)


def _set(path: Path, changes: Mapping[str, object]) -> None:
    """Change values in a shipped YAML file, in place."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for dotted, value in changes.items():
        *parents, key = dotted.split(".")
        at = 0
        for depth, name in enumerate((*parents, key)):
            hits = [number for number, line in enumerate(lines[at:], at) if line.strip().startswith(f"{name}:")]
            if parents:
                hits = [number for number in hits if lines[number].startswith(f"{'  ' * depth}{name}:")]
            assert hits, (path, dotted)
            assert parents or len(hits) == 1, (path, dotted, hits)
            at = hits[0]
        line = lines[at]
        indent = line[: len(line) - len(line.lstrip())]
        plain = value is None or isinstance(value, int | list)
        lines[at] = f"{indent}{key}: {json.dumps(value if plain else str(value))}"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def orders_of(paper: PaperAlpaca, side: str) -> list[dict[str, Any]]:
    """Orders of a side that the local Alpaca received, in order of arrival."""
    return [order for order in paper.orders() if order["side"] == side]


def sent_once(orders: Sequence[Mapping[str, Any]]) -> bool:
    """True if no client_order_id and no symbol-side pair stands twice."""
    ids = [order["client_order_id"] for order in orders]
    legs = [(order["symbol"], order["side"]) for order in orders]
    return len(set(ids)) == len(ids) and len(set(legs)) == len(legs)
