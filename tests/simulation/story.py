"""A story: plans, an account, an operator, trouble; and the firm living through it, one step at a time.

Three acts. In the first trouble strikes. Then all is calm: every run must end, or be held with a reason, in bounded
time. In the last the operator decides what is held, until every run has ended and the books are compared.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from departments.executive.phases import Ended, Held, HoldReason, Phase, Queued
from departments.office.settings import Settings
from messages.broker import SubmitOrder
from messages.codec import decode, encode
from messages.control import AbortRun, HaltTrading, ReduceTrading, ReleaseRun, ResumeTrading
from messages.envelope import Envelope
from messages.message import Message
from messages.plans import SubmitPlan
from messages.values import AccountName, Recipient, RunId, Side, TradingState
from tests.builders.plans import ACCOUNT, NOW, some_settings
from tests.fakes.mailroom import FakeMailroom
from tests.simulation.agenda import Agenda
from tests.simulation.exchange import Exchange, Frame, Holding
from tests.simulation.firm import ORDER, Incarnation, QuietActor, department_of
from tests.simulation.luck import Luck
from tests.simulation.watchman import Watchman, insist

QUICK = some_settings(
    executive={
        "sell_timeout_s": 20,
        "buy_timeout_s": 20,
        "cash_wait_s": 10,
        "silence_s": 20,
        "cancel_stuck_s": 20,
        "verify_wait_s": 8,
        "min_time_to_close_s": 30,
    }
)
"""Shorter waits than shipped: the same turns in less time."""
SLOWER = QUICK.model_copy(
    update={"executive": QUICK.executive.model_copy(update={"sell_timeout_s": 30, "cash_poll_s": 2, "max_resends": 1})}
)
"""What somebody may have made of them by the next start."""
BOUND_S = 400
"""In so long, once it is calm, every run ends or is held."""
SETTLED_S = 65
"""A held run in which nothing has changed for so long is held for good."""
DAWDLE = timedelta(seconds=6)
"""So long may mail wait in an inbox while the world goes on."""
MOST_STEPS = 60_000
MOST_CRASHES = 6
MOST_WORDS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """What a story begins with.

    Attributes:
        submissions: (seconds after the beginning, letter); the same plan may be handed in twice.
        trouble_s: How long trouble may strike.
        words: (seconds, what the operator does): `halt`, `halt_cancel`, `reduce`, `resume`, `release`, `abort`.
        eager: Every row is durable at once, so a crash loses nothing.
    """

    submissions: tuple[tuple[float, SubmitPlan], ...]
    cash_usd: Decimal = Decimal(1000)
    holdings: Mapping[str, Decimal] = field(default_factory=dict)
    prices_usd: Mapping[str, Decimal] = field(default_factory=dict)
    settings: Settings = QUICK
    skew: timedelta = timedelta(0)
    trouble_s: float = 60.0
    words: tuple[tuple[float, str], ...] = ()
    dead_assets: frozenset[str] = frozenset()
    eager: bool = False
    opens_in_s: float | None = None
    closes_in_s: float | None = None


class Story:
    """One life of the firm."""

    def __init__(self, plot: Plot, luck: Luck) -> None:
        self.plot = plot
        self.luck = luck
        self.agenda = Agenda(NOW)
        self.trace: deque[tuple[datetime, str, Any]] = deque(maxlen=20_000)
        self.exchange = Exchange(
            agenda=self.agenda,
            luck=luck,
            cash_usd=plot.cash_usd,
            holdings={symbol: Holding(qty, Decimal(0)) for symbol, qty in plot.holdings.items()},
            prices_usd=dict(plot.prices_usd),
            skew=plot.skew,
            on_frame=self._frame,
            dead_assets=plot.dead_assets,
        )
        self.mailroom = FakeMailroom(ACCOUNT)
        self.states: dict[int, Any] = {}
        self.naps: dict[Recipient, datetime] = {}
        self.very_late: set[str] = set()
        self.watchman = Watchman(self.exchange, self.mailroom, plot.settings, very_late=self.very_late)
        self.firm: Incarnation | None = None
        self.crashes = 0
        self.words = 0
        self.steps = 0
        self.changed_at = self.agenda.now()
        self._shown: Any = None
        self._letters = 0

    # -- the acts ----------------------------------------------------------------------------------------------------

    def play(self) -> "Story":
        """Play it to the end. Raises Broken, or whatever broke."""
        self._set_the_scene()
        self._go_on(until=self._in(self.plot.trouble_s), or_all_ended=True)
        self._calm_down()
        self._drain()
        self._compare_a_replay()
        self.watchman.close()
        return self

    def play_dying(self, name: Recipient, *, until: datetime) -> None:
        """Play the first act only, with an actor that dies after each piece of mail that it handles."""
        self._set_the_scene()
        seen: Any = None
        while self.agenda.now() < until and not (self._all_in() and self._over()):
            self.step()
            last = next((entry for entry in reversed(self.trace) if isinstance(entry[2], Envelope)), None)
            if last is not seen and last is not None and last[1] == name.value and self.firm is not None:
                self.firm.replace(name)
            seen = last

    def _set_the_scene(self) -> None:
        plot, agenda = self.plot, self.agenda
        if plot.opens_in_s is not None:
            self.exchange.close_market(plot.opens_in_s)
        if plot.closes_in_s is not None:
            self.exchange.next_close = self.exchange.clock_at() + timedelta(seconds=plot.closes_in_s)
            agenda.after(plot.closes_in_s, lambda: self.exchange.close_market(30))
        for number, (at_s, letter) in enumerate(plot.submissions):
            agenda.after(at_s, lambda letter=letter, number=number: self.post(letter, f"submit:{number}"))
        for at_s, word in plot.words:
            agenda.after(at_s, lambda word=word: self.operator(word))
        self._start()

    def _calm_down(self) -> None:
        self.luck.calm = True
        self.exchange.blocked = False
        if not self.exchange.is_open:
            self.exchange.open_market()
        if self.watchman.trading is not TradingState.ACTIVE:
            self.operator("resume")
        self.changed_at = self.agenda.now()

    def _ended_or_held(self) -> None:
        """Invariant 10."""
        for run_id, phase in self.phases().items():
            behind = isinstance(phase, Queued) and run_id != self._active()
            fine = isinstance(phase, Ended | Held) or behind
            if isinstance(phase, Held) and phase.reason is HoldReason.CANCEL_STUCK:
                out = [leg for leg in phase.run.legs if leg.sent and not leg.terminal]
                insist(
                    out or any(leg.sendable for leg in phase.run.legs), "10 a stuck cancel has an order", phase=phase
                )
            insist(fine, "10 every run ends or is held with a reason, in bounded time", run=run_id, phase=phase)

    def _drain(self) -> None:
        """The operator decides, run by run, until there is nothing left to decide."""
        for attempt in range(14):
            self._go_on(until=self._in(BOUND_S), or_all_ended=True, or_settled=True)
            self._ended_or_held()
            self._go_on(until=self._in(3))
            if self._all_in() and self._over():
                return
            phases = self.phases().values()
            mismatch = any(isinstance(one, Held) and one.reason is HoldReason.VERIFICATION_MISMATCH for one in phases)
            if any(isinstance(one, Held) for one in phases):
                self.operator(
                    "release" if mismatch else ("release", "abort")[min(1, self.luck.choose(2) + attempt // 4)]
                )
            self.changed_at = self.agenda.now()
        insist(False, "10 every run ends once people decide", phases=self.phases())

    def _in(self, seconds: float) -> datetime:
        return self.agenda.now() + timedelta(seconds=seconds)

    # -- steps -------------------------------------------------------------------------------------------------------

    def _go_on(self, *, until: datetime, or_all_ended: bool = False, or_settled: bool = False) -> None:
        while self.agenda.now() < until and (self._ready() or self.agenda.next_at is not None):
            if or_all_ended and self._all_in() and self._over():
                return
            if or_settled and self._settled():
                return
            next_at = self.agenda.next_at
            if not self._ready() and next_at is not None and next_at > until:
                self.agenda.now_at = until
                return
            self.step()

    def step(self) -> None:
        """Let one thing happen."""
        self.steps += 1
        insist(self.steps < MOST_STEPS, "10 no storm of mail", steps=self.steps)
        self.agenda.tick()
        self._trouble()
        ready, next_at, now = self._ready(), self.agenda.next_at, self.agenda.now()
        waits = next_at is not None and (
            self.luck.choose(2) == 1 if next_at <= now else next_at < now + DAWDLE and self.luck.strikes("*dawdle")
        )
        if ready and not waits:
            actor = ready[self.luck.choose(len(ready))]
            envelope, place = actor.serve()
            if place is not None:
                self.states[place] = actor.state
            self.trace.append((self.agenda.now(), envelope.recipient.value, envelope))
            if envelope.recipient is Recipient.EXECUTIVE:
                self._look()
        elif next_at is not None:
            self.agenda.advance()

    def _ready(self) -> list[QuietActor]:
        """Whose inbox has mail."""
        if self.firm is None:
            return []
        awake = (name for name in ORDER if self.naps.get(name, NOW) <= self.agenda.now())
        return [actor for name in awake if (actor := self.firm.actors[name]).inbox]

    def _trouble(self) -> None:
        luck, firm = self.luck, self.firm
        if self.plot.eager:
            self.mailroom.flush()
        if firm is None:
            return
        if luck.strikes("*commit"):
            self.mailroom.flush()
        if self.crashes < MOST_CRASHES and luck.strikes("crash"):
            self._crash()
            return
        if luck.strikes("actor.dies"):
            name = ORDER[luck.choose(len(ORDER))]
            self._note("actor replaced", name)
            firm.replace(name)
        if luck.strikes("actor.naps"):
            self._nap(ORDER[luck.choose(len(ORDER))])
        if luck.strikes("mail.doubled"):
            self._double(firm)
        if luck.strikes("stream.lost"):
            firm.disconnect(luck.seconds(0.5, 15))
        if self.words < MOST_WORDS:
            for word in ("halt", "halt_cancel", "reduce", "resume", "release", "abort"):
                if luck.strikes(f"operator.{word}"):
                    self.operator(word)
        self._trouble_at_the_exchange()

    def _trouble_at_the_exchange(self) -> None:
        luck, exchange = self.luck, self.exchange
        if luck.strikes("prices.move"):
            exchange.move_prices()
        if luck.strikes("prices.fall"):
            self._note("prices fall")
            exchange.fall()
        if exchange.is_open and luck.strikes("market.closes"):
            self._note("market closes")
            exchange.close_market(luck.seconds(5, 40))
        if luck.strikes("account.blocked"):
            exchange.blocked = self.watchman.was_blocked = True
            self.agenda.after(luck.seconds(1, 30), lambda: setattr(exchange, "blocked", False))
        if luck.strikes("stranger"):
            self._stranger()
        if luck.strikes("bust"):
            filled = [order for order in exchange.orders.values() if order.filled_qty]
            if filled:
                exchange.bust(filled[luck.choose(len(filled))])

    def _stranger(self) -> None:
        self.watchman.strangers = True
        symbols = sorted(self.exchange.prices_usd)
        symbol = symbols[self.luck.choose(len(symbols))]
        side = (Side.BUY, Side.SELL)[self.luck.choose(2)]
        if side is Side.SELL and self.exchange.free(symbol) < 1:
            side = Side.BUY
        self._note("stranger", f"{side} {symbol}")
        self.exchange.stranger(symbol, side, Decimal(1))

    def _nap(self, name: Recipient) -> None:
        """An actor is slow: its mail waits, longer perhaps than anybody waits for an answer."""
        self.naps[name] = self._in(self.luck.seconds(1, 40))
        self._note("nap", f"{name} until {self.naps[name]}")
        self.agenda.at(self.naps[name], lambda: None)

    def _double(self, firm: Incarnation) -> None:
        """A piece of mail reaches its actor twice."""
        waiting = [actor for actor in firm.actors.values() if actor.inbox]
        if waiting:
            inbox = waiting[self.luck.choose(len(waiting))].inbox
            inbox.append(inbox[self.luck.choose(len(inbox))])

    # -- life and death ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        settings = SLOWER if self.luck.strikes("settings.change") else self.plot.settings
        firm = Incarnation(
            mailroom=self.mailroom,
            exchange=self.exchange,
            agenda=self.agenda,
            luck=self.luck,
            settings=settings,
            leaves=self._leaves,
            very_late=self.very_late,
        )
        self.firm = firm
        firm.start()
        insist(not firm.differences, "9 replayed mail is the recorded mail", differences=firm.differences)
        for name, actor in firm.actors.items():
            self._same(name, actor.state)
        self._look()

    def _crash(self) -> None:
        assert self.firm is not None
        self.crashes += 1
        self.firm.die()
        self.firm = None
        pending = self.mailroom.pending_units
        kept = self.luck.choose(pending + 1)
        self.mailroom = self.watchman.mailroom = self.mailroom.crash(keep_units=kept)
        self._note("crash", f"{pending - kept} units lost, {kept} kept")
        self.watchman.restarted()
        self.agenda.after(self.luck.seconds(0.05, 12), self._start)

    def _compare_a_replay(self) -> None:
        """Invariant 9: fold the whole journal again, through its stored form, and compare."""
        assert self.firm is not None
        self.mailroom.flush()
        for name, actor in self.firm.actors.items():
            department = department_of(name, AccountName(ACCOUNT))
            state = department.initial()
            documents: dict[str, str] = {}
            for mail in self.mailroom.handled(name):
                encoded = encode(mail.envelope.message)
                documents.update(encoded.documents)
                message = decode(encoded.type, encoded.version, encoded.body, documents.__getitem__)
                envelope = replace(mail.envelope, message=message)
                settings = self._settings_named(mail.settings_sha256)
                state = department.handle(state, envelope, mail.handled_at, settings).state
            live = _open_part(actor.state, self._closed())
            insist(_open_part(state, self._closed()) == live, "9 replay gives the state exactly", name=name)

    @staticmethod
    def _settings_named(sha256: str) -> Settings:
        return next(settings for settings in (QUICK, SLOWER) if settings.sha256() == sha256)

    def _same(self, name: Recipient, folded: Any) -> None:
        """Invariant 9: what was folded is what the last incarnation knew when it wrote the last durable row."""
        mine = (mail for mail in reversed(self.mailroom.store.handled) if mail.envelope.recipient is name)
        last = next(mine, None)
        if last is None:
            return
        closed, live = self._closed(), self.states[last.handled_seq]
        same = _open_part(folded, closed) == _open_part(live, closed)
        insist(same, "9 replay gives the state exactly", name=name, folded=folded, live=live)

    # -- the operator ------------------------------------------------------------------------------------------------

    def post(self, message: Message, message_id: str | None = None) -> None:
        """Hand a letter in: it is durable at once, and the firm is woken a little later."""
        self._letters += 1
        recipient = Recipient.EXECUTIVE
        named = message_id or f"word:{self._letters}"
        self.mailroom.counter().post(message_id=named, recipient=recipient, message=message, at=self.agenda.now())
        self.watchman.handed_in(message)
        self._note("letter", message)
        self.agenda.after(self.luck.seconds(0.001, 0.25), lambda: self.firm and self.firm.take_letters())

    def operator(self, word: str) -> None:
        """Do what an operator can do."""
        self.words += 1
        runs = [run_id for run_id, phase in self.phases().items() if not isinstance(phase, Ended)]
        runs = runs or list(self.watchman.submissions)
        match word:
            case "halt" | "halt_cancel":
                self.post(HaltTrading(reason="a person said so", by="mara", cancel_orders=word == "halt_cancel"))
                if not self.luck.calm:
                    self.agenda.after(self.luck.seconds(0.5, 30), lambda: self.operator("resume"))
            case "reduce":
                self.post(ReduceTrading(reason="a person said so", by="mara"))
                if not self.luck.calm:
                    self.agenda.after(self.luck.seconds(0.5, 30), lambda: self.operator("resume"))
            case "resume":
                if self.watchman.trading is not TradingState.ACTIVE:
                    self.post(ResumeTrading(by="mara"))
            case "release" | "abort" if runs:
                make = ReleaseRun if word == "release" else AbortRun
                self.post(make(run_id=runs[self.luck.choose(len(runs))], by="mara"))
            case _:
                pass

    # -- looking -----------------------------------------------------------------------------------------------------

    def phases(self) -> dict[RunId, Phase]:
        """Where the runs stand, ended ones included."""
        phases: dict[RunId, Phase] = dict(self.watchman.ended)
        if self.firm is not None:
            phases.update(self.firm.actors[Recipient.EXECUTIVE].state.runs)
        return phases

    def _active(self) -> RunId | None:
        active: RunId | None = None
        if self.firm is not None:
            active = self.firm.actors[Recipient.EXECUTIVE].state.account.active
        return active

    def _look(self) -> None:
        assert self.firm is not None
        runs = self.firm.actors[Recipient.EXECUTIVE].state.runs
        self.watchman.look(runs)
        shown = {run_id: _told(phase) for run_id, phase in runs.items()}
        if shown != self._shown:
            self._shown, self.changed_at = shown, self.agenda.now()
            self._note("phases", ", ".join(shown.values()))

    def _leaves(self, envelope: Envelope, call: SubmitOrder) -> None:
        self._note("POST", call.intent)
        self.watchman.leaves(envelope, call, self.agenda.now())

    def _frame(self, frame: Frame) -> None:
        self._note("exchange", frame)
        luck = self.luck
        if luck.strikes("frame.lost"):
            return
        copies = 2 if luck.strikes("frame.doubled") else 1
        for _ in range(copies):
            late = luck.seconds(0.5, 8) if luck.strikes("frame.late") else luck.seconds(0.01, 0.25)
            self.agenda.after(late, lambda: self.firm and self.firm.frame(frame))

    def _all_in(self) -> bool:
        expected = {letter.run_id for _, letter in self.plot.submissions}
        return expected == set(self.watchman.submissions) == set(self.phases())

    def _over(self) -> bool:
        return self.firm is not None and all(isinstance(phase, Ended) for phase in self.phases().values())

    def _settled(self) -> bool:
        """Nothing has changed for long, and the active run is held: it waits for a person."""
        if self.firm is None or not self._all_in():
            return False
        quiet = self.agenda.now() - self.changed_at > timedelta(seconds=SETTLED_S)
        active = self._active()
        return quiet and active is not None and isinstance(self.phases().get(active), Held)

    def _closed(self) -> frozenset[RunId]:
        return frozenset(self.mailroom.store.closed)

    def _note(self, what: str, about: Any = "") -> None:
        self.trace.append((self.agenda.now(), what, about))

    def told(self) -> str:
        """The whole story, for people."""
        lines = []
        for at, what, about in self.trace:
            text = about
            if isinstance(about, Envelope):
                text = f"{about.seq} {_brief(about.message)}"
            elif isinstance(about, Frame):
                order = about.order
                text = (
                    f"{about.event} {order.client_order_id} {order.side} {order.symbol} {order.filled_qty}/{order.qty}"
                )
            lines.append(f"{(at - NOW).total_seconds():10.4f} {what:<11} {text}")
        return "\n".join(lines)


def _open_part(state: Any, closed: frozenset[RunId]) -> Any:
    runs = getattr(state, "runs", None)
    if runs is None:
        return state
    return replace(state, runs={run_id: entry for run_id, entry in runs.items() if run_id not in closed})


def _told(phase: Phase) -> str:
    if isinstance(phase, Held):
        return f"Held({phase.reason.value}) {_told(phase.resume_to)}"
    return f"{type(phase).__name__}({phase.outcome.value})" if isinstance(phase, Ended) else type(phase).__name__


def _brief(message: Message) -> str:
    named = message.model_dump(exclude={"run_id", "snapshot", "plan", "approval", "plan_text", "intents", "trades"})
    fields = " ".join(f"{name}={value}" for name, value in named.items() if value not in (None, (), False))
    return f"{type(message).__name__} {fields}"[:300]
