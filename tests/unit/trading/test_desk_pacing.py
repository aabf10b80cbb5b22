"""The desk at the local Alpaca's own limit: everything gets through, and Alpaca never has to say 429."""

import threading
from decimal import Decimal

from departments.office.settings import TradingSettings
from departments.trading.alpaca.endpoints import endpoints
from departments.trading.alpaca.rest import AlpacaBroker
from departments.trading.desk import BrokerDesk
from messages import broker as mail
from messages.orders import GateOpened, OrderIntent, SnapshotPurpose
from messages.snapshots import SnapshotPart
from messages.values import LegId, Recipient, Side, client_order_id_for
from tests.builders.plans import NOW, a_plan, a_submission, a_trade, some_settings
from tests.fakes.mailroom import FakeMailroom
from tests.paper import PaperAlpaca

LIMIT_S = 60.0
COUNT = 60


def a_big_submission():
    sells = [a_trade(f"S{n:02}", "CTVA", Side.SELL, 1) for n in range(1, COUNT + 1)]
    buys = [a_trade(f"B{n:02}", "COMM", Side.BUY, 1) for n in range(1, COUNT + 1)]
    return a_submission(a_plan(trades=[*sells, *buys]))


def test_sixty_sells_and_sixty_buys_need_no_429():
    submission = a_big_submission()
    state = {
        "cash": "100000",
        "positions": [{"symbol": "CTVA", "qty": "60", "avg_entry_price": "62.80", "price": "64.64"}],
        "prices": {"COMM": "16.992"},
        "fills": {"delay_ms": [0, 1]},
    }
    settings = some_settings(trading=TradingSettings())
    mailroom = FakeMailroom()
    mailroom.remember_settings(settings.sha256(), settings.document())
    mailroom.receive(sender="operator", recipient=Recipient.EXECUTIVE, message=submission, at=NOW)
    answers: list[mail.Message] = []
    came = threading.Condition()

    def take(envelope):
        with came:
            answers.append(envelope.message)
            came.notify_all()

    with PaperAlpaca(state) as paper:
        desk = BrokerDesk(
            make_broker=lambda: AlpacaBroker(
                endpoints=endpoints({"APCA_API_BASE_URL": paper.url}),
                key_id="K",
                secret_key="S",  # noqa: S106 - of nobody
                connect_timeout_s=5,
                read_timeout_s=20,
            ),
            mailroom=mailroom,
            deliver=take,
            clock=lambda: NOW,
            settings=settings,
        )

        def ask(message):
            envelope = mailroom.receive(sender="trading", recipient=Recipient.BROKER, message=message, at=NOW)
            assert envelope is not None
            desk.submit(envelope)

        def place(side):
            for trade in submission.plan.trades:
                if trade.side is side:
                    intent = OrderIntent(
                        leg=LegId(trade.leg),
                        client_order_id=client_order_id_for(submission.run_id, trade.leg, 1),
                        symbol=trade.symbol,
                        side=side,
                        qty=trade.qty,
                    )
                    ask(mail.SubmitOrder(run_id=submission.run_id, intent=intent, intended_at=NOW))

        def until(count):
            with came:
                assert came.wait_for(lambda: len(answers) >= count, LIMIT_S), len(answers)

        desk.start()
        try:
            place(Side.SELL)
            until(COUNT)
            snapshot = None
            while snapshot is None or any(order.filled_qty != order.qty for order in snapshot.run_orders):
                before = len(answers)
                ask(
                    mail.FetchSnapshot(
                        run_id=submission.run_id,
                        ask=1,
                        purpose=SnapshotPurpose.GATE,
                        parts=(SnapshotPart.ACCOUNT, SnapshotPart.ORDERS),
                        symbols=("CTVA", "COMM"),
                        run_orders_after=NOW,
                    )
                )
                until(before + 1)
                snapshot = answers[-1].snapshot
            gate = GateOpened(
                run_id=submission.run_id,
                snapshot=snapshot,
                sells=(),
                shortfall_decision=None,
                proceeds_usd=Decimal(3878),
                cash_before_usd=Decimal(100_000),
                cash_at_gate_usd=snapshot.account.cash_usd,
            )
            mailroom.receive(sender="executive", recipient=Recipient.TRADING, message=gate, at=NOW)
            before_buys = len(answers)
            place(Side.BUY)
            until(before_buys + COUNT)
        finally:
            assert desk.close(LIMIT_S)
        requests = paper.requests()
        orders = paper.orders()

    kinds = [type(answer).__name__ for answer in answers if not isinstance(answer, mail.SnapshotFetched)]
    assert kinds == ["OrderAnswered"] * (2 * COUNT)
    assert [order["side"] for order in orders] == ["sell"] * COUNT + ["buy"] * COUNT
    assert not [request for request in requests if request["status"] == 429]
