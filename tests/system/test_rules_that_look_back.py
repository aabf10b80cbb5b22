"""Rules on what went before, as a person meets them: plans of one day, and an account with a past. Rules as shipped."""

from decimal import Decimal

import pytest

from tests.builders import small
from tests.daemon import Home
from tests.paper import PaperAlpaca
from tests.stage import leg_of

OPEN = {"now": "2025-11-10T15:09:12Z", "is_open": True}


def denied(view, symbol):
    return [one["code"] for one in view["denied"] if one["symbol"] == symbol]


def test_the_plans_of_a_day(tmp_path):
    """The second doesn't buy again what the first bought; the fourth sells and buys nothing."""
    with PaperAlpaca(small.account(clock=OPEN)) as paper, Home(tmp_path, paper) as home:
        home.start()
        first, second, third = (
            home.wait_end(home.submit(small.plan(sells, buys), f"plan{n}.yaml"))
            for n, (sells, buys) in enumerate([(("SAA",), ("BAA",)), (("SBB",), ("BAA", "BBB")), ((), ("BCC",))])
        )
        trim = small.plan((), ("BCC",)) + '  - {symbol: KEEP, side: sell, qty: "10", reference_price: "100"}\n'
        fourth = home.wait_end(home.submit(trim, "plan4.yaml"))

        assert leg_of(first, "BAA")["status"] == leg_of(second, "BBB")["status"] == "filled"
        assert denied(second, "BAA") == ["LEG_DONE_TODAY"]
        assert denied(third, "BCC") == ["FUNDING_EXCEEDED"]  # it sells nothing
        assert "PLANS_ABOVE_MAX" in denied(fourth, "BCC")
        assert leg_of(fourth, "KEEP")["status"] == "filled"
        assert [one["outcome"] for one in (first, second, third, fourth)] == ["completed"] * 4
        bought = [order["symbol"] for order in paper.orders() if order["side"] == "buy"]
        assert bought.count("BAA") == bought.count("BBB") == 1


def fills(*trades):
    """Executions of the past: symbol, side, time, type of the order."""
    return [
        {"symbol": symbol, "side": side, "qty": "5", "price": "100", "at": at, "type": kind, "order": f"order-{n}"}
        for n, (symbol, side, at, kind) in enumerate(trades)
    ]


STOPPED = fills(("BAA", "buy", "2025-11-05T15:00:00Z", "market"), ("BAA", "sell", "2025-11-07T15:00:00Z", "stop"))
DAY_TRADES = fills(
    *(
        ("BCC", side, f"2025-11-{day:02}T1{5 + half}:00:00Z", "market")
        for day in (4, 5, 6, 7)
        for half, side in enumerate(("buy", "sell"))
    )
)


@pytest.mark.parametrize(
    ("past", "codes", "bought"),
    [
        (STOPPED, {"BAA": ["COOL_DOWN_AFTER_STOP"], "BBB": []}, {"BBB"}),
        (DAY_TRADES, {"BAA": ["ROUND_TRIPS_ABOVE_MAX"], "BBB": ["ROUND_TRIPS_ABOVE_MAX"]}, set()),
        (DAY_TRADES[:-2], {"BAA": [], "BBB": []}, {"BAA", "BBB"}),
    ],
    ids=["sold by a stop on Friday", "four round trips in five days", "three round trips"],
)
def test_an_account_with_a_past(tmp_path, past, codes, bought):
    state = small.account(clock=OPEN, fills_history=past)
    with PaperAlpaca(state) as paper, Home(tmp_path, paper) as home:
        home.start()
        view = home.wait_end(home.submit(small.plan(("SAA", "SBB"), ("BAA", "BBB"))))

        assert {symbol: denied(view, symbol) for symbol in ("BAA", "BBB")} == codes
        assert {leg["symbol"] for leg in view["legs"] if leg["side"] == "sell" and leg["status"] == "filled"} == {
            "SAA",
            "SBB",
        }
        assert {order["symbol"] for order in paper.orders() if order["side"] == "buy"} == bought


def test_the_dry_run_counts_the_day_and_its_twin_has_the_past(tmp_path):
    """What the rules deny on the account, the twin doesn't buy either."""
    with (
        PaperAlpaca(small.account(clock=OPEN, fills_history=STOPPED)) as paper,
        Home(tmp_path, paper, compliance_config={"daily.max_plans": 1}) as home,
    ):
        stopped = checked(home, small.plan(("SAA",), ("BAA", "BBB")))
        home.start()
        home.wait_end(home.submit(small.plan(("SAA",), ("BBB",))))
        too_many = checked(home, small.plan(("SBB",), ("BCC",)))

        assert told(stopped) == {"BAA": ["COOL_DOWN_AFTER_STOP"], "BBB": []}
        assert bought_in_twin(stopped) == {"BBB"}
        assert told(too_many) == {"BCC": ["PLANS_ABOVE_MAX"]}
        assert bought_in_twin(too_many) == set()


def checked(home, text):
    import json

    path = home.plans / "checked.yaml"
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return json.loads(home.firm("check", str(path), "--json", limit_s=60).stdout)


def told(shown):
    return {
        leg["symbol"]: [violation["code"] for violation in leg["violations"]]
        for leg in shown["legs"]
        if leg["side"] == "buy"
    }


def bought_in_twin(shown):
    return {step["symbol"] for step in shown["sequence"] if step["step"] == "buy" and Decimal(step["filled_qty"]) > 0}
