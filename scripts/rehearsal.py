"""Rehearses a plan: the real departments, in this process, against a twin of the account, in a scratch folder.

Nothing here knows the account's own address: the firm that is started is given the twin's, and no other.
"""

import json
import select
import signal
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from departments.executive.dry_run import Rehearsal
from departments.executive.twin import Twin
from scripts.failure import Code, Failure
from scripts.local_alpaca import local_alpaca

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from departments.office.settings import Settings
    from messages.mailroom.port import Counter
    from messages.plans import Plan, SubmitPlan
    from messages.snapshots import Snapshot
    from messages.values import RunId

RUN_WITHIN_S = 45.0
STILL_OUT = frozenset({"planned", "intended", "unknown", "open", "partially_filled"})
HELD_FOR_S = 2.0
"""A hold that lifts by itself within this time is no end; one for a SELL that ended unfilled doesn't lift."""
LOOK_EVERY_S = 0.02
CALL_WITHIN_S = 10.0
ORDER_WITHIN_S = 5
"""What the twin doesn't fill within this time it never fills: its prices stand still."""
_KEY, _SECRET = "PKTWIN", "twin"  # any pair opens it
_APPROVER = "firm check"
_LOOPBACK = frozenset({"127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A twin that is up, and where rehearsals on it keep their journals.

    Attributes:
        url: The local Alpaca's.
        scratch: A folder that goes when the stage does.
        settings: The firm's own, but for waits on what can't come in the twin.
    """

    url: str
    twin: Twin
    scratch: Path
    settings: "Settings"

    def rehearse(self, plan: "Plan", text: str, *, without: str | None = None) -> Rehearsal:
        """Run the plan to its end, or to where a person would have to decide.

        Args:
            plan: As read.
            text: Its bytes.
            without: A SELL leg that expires unfilled; if that holds the run, it is released afterwards.

        Raises:
            Failure: The rehearsal itself went wrong; that says nothing good of the plan.
        """
        self._set()
        for trade in plan.trades:
            if trade.leg == without:
                rule = {"on": "POST /v2/orders", "symbol": trade.symbol, "side": "sell"}
                self._call("/paper/faults", [rule | {"do": "fill", "fill": "none", "then": "expire"}])
        home = Path(tempfile.mkdtemp(prefix="run.", dir=self.scratch))
        return _rehearse(self, home, plan, text, release=without is not None)

    def _set(self) -> None:
        """Bring the twin back to its beginning: the account, and its live orders at rest."""
        self._call("/paper/reset", {})
        self._call("/paper/account", self.twin.account)
        if self.twin.orders:
            rests = {"on": "POST /v2/orders", "times": len(self.twin.orders), "do": "fill", "fill": "none"}
            self._call("/paper/faults", [rests | {"then": "rest"}])
        for order in self.twin.orders:
            self._call("/v2/orders", order, may_refuse=True)  # a refused one shows among the twin's differences
        for rule in self._call("/paper/faults"):
            if rule["fired"] < len(self.twin.orders):  # it would bend an order of the plan's
                raise Failure(Code.REJECTED, "firm check: the account's open orders could not be put into the twin")

    def _call(self, path: str, body: object = None, *, method: str | None = None, may_refuse: bool = False) -> Any:
        """Ask the twin for something.

        Raises:
            Failure: It doesn't do it.
        """
        if urlsplit(self.url).hostname not in _LOOPBACK:
            raise AssertionError(f"expected the twin on this machine, was {self.url}")
        headers = {"APCA-API-KEY-ID": _KEY, "APCA-API-SECRET-KEY": _SECRET, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)  # noqa: S310 - loopback, above
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=CALL_WITHIN_S) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            said = error.read(300).decode(errors="replace")
            if may_refuse:
                return None
            raise Failure(Code.REJECTED, f"firm check: the twin refused {path}: http {error.code} {said}") from None
        except (OSError, ValueError) as error:
            raise Failure(Code.UNREACHABLE, f"firm check: the twin does not answer {path}: {error}") from None


@contextmanager
def stage(twin: Twin, settings: "Settings") -> Iterator[Stage]:
    """Start a twin; it and every trace of the rehearsals is gone afterwards.

    Args:
        twin: How it begins.
        settings: The firm's.

    Raises:
        Failure: It doesn't start.
    """
    quick = {
        "executive": settings.executive.model_copy(
            update={
                "sell_timeout_s": min(settings.executive.sell_timeout_s, ORDER_WITHIN_S),
                "buy_timeout_s": min(settings.executive.buy_timeout_s, ORDER_WITHIN_S),
            }
        ),
        "trading": settings.trading.model_copy(update={"requests_per_minute": 10_000}),
        "operations": settings.operations.model_copy(
            update={"monitor": settings.operations.monitor.model_copy(update={"enabled": False})}
        ),
    }
    with _tidy_when_told_to_stop(), tempfile.TemporaryDirectory(prefix="firm-check.") as folder:
        scratch = Path(folder)
        state = scratch / "twin.yaml"
        state.write_text(json.dumps(twin.state), encoding="utf-8")  # JSON is YAML
        with local_alpaca(state) as url:
            yield Stage(url=url, twin=twin, scratch=scratch, settings=settings.model_copy(update=quick))


@contextmanager
def _tidy_when_told_to_stop() -> Iterator[None]:
    """Take SIGTERM and SIGHUP as Ctrl-C is taken: the twin and the scratch folder go before we do."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _rehearse(on: Stage, home: Path, plan: "Plan", text: str, *, release: bool) -> Rehearsal:
    from departments.firm import Firm, Keys
    from departments.office.clock import SystemClock
    from departments.office.logs import Log
    from departments.trading.alpaca.endpoints import endpoints
    from departments.trading.broker import BrokerError
    from messages.mailroom.counter import SqlCounter
    from messages.mailroom.port import MailroomError

    store = f"sqlite:///{home / 'firm.db'}"
    log = Log(home, clock=SystemClock(), account=plan.account)
    try:
        counter = SqlCounter.open(url=store, home=home, account=plan.account)
        try:
            settings, key = _with_our_key(on.settings)
            letter = _letter(plan, text, settings, key)
            _hand_in(counter, letter)
            firm = Firm(
                home=home,
                store_url=store,
                account=plan.account,
                settings=settings,
                keys=Keys(key_id=_KEY, secret_key=_SECRET),
                endpoints=endpoints({"APCA_API_BASE_URL": on.url}),
                keeps_books=False,
            )
            firm.start()
            try:
                view = _follow(counter, firm, letter.run_id)
                released = None
                if release and view["phase"] == "held" and view["reason"] == "sell_shortfall":
                    released = _release(counter, firm, letter.run_id)
                return Rehearsal(view=view, looks=_looks(counter, letter.run_id), released=released)
            finally:
                firm.stop()
        finally:
            counter.close()
    except (MailroomError, BrokerError) as error:
        raise Failure(Code.UNREACHABLE, f"firm check: the rehearsal broke off: {error}") from None
    finally:
        log.stop()


def _with_our_key(settings: "Settings") -> "tuple[Settings, Ed25519PrivateKey]":
    """The settings with one signer, us, and our key; it is never written anywhere."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from departments.office.allowed_signers import Signer
    from departments.office.sshsig import public_text

    key = Ed25519PrivateKey.generate()
    public = public_text(key.public_key().public_bytes_raw()).split()[1]
    us = Signer(principals=(_APPROVER,), public_key=public, accounts=tuple(settings.firm.accounts))
    return settings.model_copy(update={"signers": (us,)}), key


def _letter(plan: "Plan", text: str, settings: "Settings", key: "Ed25519PrivateKey") -> "SubmitPlan":
    """Hand the plan in with an approval of our own: its key is known on the twin and nowhere else."""
    from departments.executive.approval_file import new_approval
    from messages.plans import SubmitPlan
    from messages.values import run_id_for
    from scripts.surroundings import now

    approval = new_approval(plan, settings=settings, approved_by=_APPROVER, key=key, now=now(), nonce="rehearsal")
    return SubmitPlan(run_id=run_id_for(plan.account, plan.plan_sha256), plan=plan, approval=approval, plan_text=text)


def _hand_in(counter: "Counter", letter: "SubmitPlan") -> None:
    from messages.values import Recipient
    from scripts.surroundings import now

    counter.post(message_id=f"submit:{letter.run_id}", recipient=Recipient.EXECUTIVE, message=letter, at=now())


def _release(counter: "Counter", firm: Any, run_id: "RunId") -> Mapping[str, Any]:
    from messages.control import ReleaseRun
    from messages.values import Recipient
    from scripts.surroundings import now

    word = ReleaseRun(run_id=run_id, by="firm check")
    counter.post(message_id=f"release:{run_id}", recipient=Recipient.EXECUTIVE, message=word, at=now())
    return _follow(counter, firm, run_id, released=True)


def _follow(counter: "Counter", firm: Any, run_id: "RunId", *, released: bool = False) -> Mapping[str, Any]:
    """Wait until the run has ended, or is held and stays so.

    Raises:
        Failure: Neither within the limit, or the firm gave up.
    """
    from departments.executive.report import view_run

    began = time.monotonic()
    held_since: float | None = None
    while True:
        view = view_run(counter, run_id)
        at = time.monotonic()
        if view is not None and view["outcome"] is not None:
            return view
        if view is not None and view["phase"] == "held":
            held_since = held_since or at
            short = view["reason"] == "sell_shortfall" and not released and not _sells_are_out(view)
            if short or at - held_since >= HELD_FOR_S:
                return view
        else:
            held_since = None
        if firm.gave_up is not None:
            raise Failure(Code.REJECTED, f"firm check: the firm gave up in the twin: {firm.gave_up}")
        if at - began > RUN_WITHIN_S:
            phase = "never taken up" if view is None else f"{view['phase']}, waits for {view['waiting_for']}"
            line = f"firm check: in the twin the run did not end within {RUN_WITHIN_S:.0f} s: {phase}"
            raise Failure(Code.REJECTED, line)
        select.select([], [], [], LOOK_EVERY_S)


def _sells_are_out(view: Mapping[str, Any]) -> bool:
    """Whether a SELL may still fill: the run is held as soon as one fell short, the others go on."""
    return any(leg["side"] == "sell" and leg["status"] in STILL_OUT for leg in view["legs"])


def _looks(counter: "Counter", run_id: "RunId") -> dict[str, "Snapshot"]:
    """The newest look for each purpose that the run had."""
    from messages.orders import SnapshotReady
    from messages.values import Recipient

    return {
        mail.envelope.message.purpose.value: mail.envelope.message.snapshot
        for mail in counter.history(Recipient.EXECUTIVE, run_id=run_id)
        if isinstance(mail.envelope.message, SnapshotReady)
    }
