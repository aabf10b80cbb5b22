"""Every shortfall policy with every funding and every fate of the SELLs, against money reckoned by hand.

The account has $1,000 of debt and $56,000 in shares: equity $55,000. The plan sells SAA 20 x $100 and SBB 40 x $50, and
would buy, in this order, BAA 20 x $100, BBB 30 x $60, BCC 25 x $40. A BUY reserves 3 % more than its price: $103,
$61.80, $41.20 a share; what is left below $500 of a leg is not bought. No slippage, no spread.

SELLs fill whole ($4,000), in part (SAA whole, SBB 20 of 40: $3,000) or not at all ($0). What may be spent:

    funding        whole                  part                  none
    proceeds       $4,000                 $3,000                $0
    cash           4,000 - 1,000 of debt  3,000 - 1,000         nothing: there is debt
    buying_power   $100,000 and more: the limit on exposure, twice the equity, stays far away

    $4,000: BAA 20 = 2,060; BBB 30 = 1,854; 86 left: BCC 2 = $80, too small
    $3,000: BAA 20 = 2,060; 940 left: BBB 15 = 927; 13 left
    $2,000: BAA 19 = 1,957; 43 left
"""

from decimal import Decimal

import pytest

from tests.builders import small
from tests.stage import leg_of, staged

POST = "POST /v2/orders"
PRICES = {"BAA": 100, "BBB": 60, "BCC": 40}
RESERVED = {"BAA": Decimal(103), "BBB": Decimal("61.8"), "BCC": Decimal("41.2")}
CASH_BEFORE = -1000

# funding, SELLs -> (proceeds, most that may be reserved; None: no matter, shares of BAA, BBB, BCC)
MONEY = {
    ("proceeds", "whole"): (4000, 4000, (20, 30, 0)),
    ("proceeds", "part"): (3000, 3000, (20, 15, 0)),
    ("proceeds", "none"): (0, 0, (0, 0, 0)),
    ("cash", "whole"): (4000, 3000, (20, 15, 0)),
    ("cash", "part"): (3000, 2000, (19, 0, 0)),
    ("cash", "none"): (0, 0, (0, 0, 0)),
    ("buying_power", "whole"): (4000, None, (20, 30, 25)),
    ("buying_power", "part"): (3000, None, (20, 30, 25)),
    ("buying_power", "none"): (0, None, (20, 30, 25)),
}
# policy, SELLs -> (phase it comes to rest in, whether the BUYs of MONEY are bought, who let the gate open short)
FATE = {
    ("hold", "whole"): ("completed", True, None),
    ("hold", "part"): ("held", False, None),
    ("hold", "none"): ("held", False, None),
    ("resize", "whole"): ("completed", True, None),
    ("resize", "part"): ("completed", True, "policy"),
    ("resize", "none"): ("completed", True, "policy"),
    ("abort", "whole"): ("completed", True, None),
    ("abort", "part"): ("aborted", False, None),
    ("abort", "none"): ("aborted", False, None),
}
POLICIES = ("hold", "resize", "abort")
FUNDINGS = ("proceeds", "cash", "buying_power")
SOLD = ("whole", "part", "none")
RULES = {
    "whole": [],
    "part": [{"on": POST, "symbol": "SBB", "do": "fill", "fill": "partial", "fraction": "0.5", "then": "cancel"}],
    "none": [{"on": POST, "side": "sell", "do": "fill", "fill": "none"}],
}
QUICK = {"sell_timeout_s": 1}


@pytest.fixture(scope="module")
def whole_stage(tmp_path_factory):
    with staged(tmp_path_factory.mktemp("policies"), executive_config=QUICK) as one:
        yield one


@pytest.fixture
def stage(whole_stage):
    yield whole_stage
    whole_stage.clear()


@pytest.mark.parametrize("sold", SOLD)
@pytest.mark.parametrize("funding", FUNDINGS)
@pytest.mark.parametrize("policy", POLICIES)
def test_the_plans_word_counts(stage, policy, funding, sold):
    view = run_to_rest(stage, policy, funding, sold, in_plan=True)

    assert_as_reckoned(stage, view, policy, funding, sold)


@pytest.mark.parametrize("funding", FUNDINGS)
@pytest.mark.parametrize("policy", POLICIES)
def test_without_a_word_in_the_plan_the_configs_counts(tmp_path, policy, funding):
    with staged(tmp_path, executive_config=QUICK | {"sell_shortfall": policy, "funding": funding}) as stage:
        for sold in SOLD:
            view = run_to_rest(stage, policy, funding, sold)

            assert_as_reckoned(stage, view, policy, funding, sold)
            stage.clear()


@pytest.mark.parametrize("funding", FUNDINGS)
def test_an_operators_release_means_resize(stage, funding):
    held = run_to_rest(stage, "hold", funding, "part", in_plan=True)
    stage.home.inside("release", held["run_id"])
    view = stage.home.wait_end(held["run_id"])

    assert_bought(stage, view, funding, "part")
    assert view["gate"]["decision"] == "operator"


def test_the_plans_word_beats_the_configs(tmp_path):
    with staged(tmp_path, executive_config=QUICK | {"sell_shortfall": "abort", "funding": "buying_power"}) as stage:
        view = run_to_rest(stage, "resize", "cash", "part", in_plan=True)

        assert_as_reckoned(stage, view, "resize", "cash", "part")


def run_to_rest(stage, policy, funding, sold, *, in_plan=False):
    """Run the plan to its end, or to its hold; policy and funding stand in the plan or come from the config."""
    top = {"sell_shortfall": policy, "funding": funding} if in_plan else {}
    stage.paper.fault(*RULES[sold])
    run_id = stage.run(small.plan(("SAA", "SBB"), ("BAA", "BBB", "BCC"), **top))
    view = stage.home.wait_phase(run_id, "completed", "aborted", "rejected", "held")
    assert view["policy"] == {"sell_shortfall": policy, "funding": funding}
    return view


def assert_as_reckoned(stage, view, policy, funding, sold):
    phase, buys, decision = FATE[policy, sold]
    assert view["phase"] == phase, view
    assert view["gate"]["decision"] == decision
    if buys:
        assert_bought(stage, view, funding, sold)
    else:
        assert [order for order in stage.paper.orders() if order["side"] == "buy"] == []
    if phase == "aborted":
        assert {order["status"] for order in stage.paper.orders()} <= {"filled", "canceled"}


def assert_bought(stage, view, funding, sold):
    """What was bought is what the table says, by our own view and by the local Alpaca's."""
    proceeds, most, shares = MONEY[funding, sold]
    wanted = {symbol: qty for symbol, qty in zip(PRICES, shares, strict=True) if qty}
    bought = {order["symbol"]: Decimal(order["filled_qty"]) for order in stage.paper.orders() if order["side"] == "buy"}
    spent = sum(qty * PRICES[symbol] for symbol, qty in wanted.items())
    assert bought == wanted
    assert {symbol: Decimal(leg_of(view, symbol)["filled_qty"]) for symbol in wanted} == wanted
    assert all(leg_of(view, symbol)["violations"] for symbol in PRICES if symbol not in wanted)
    assert view["verification"]["ok"] or not stage.paper.orders()
    assert [Decimal(view["money"][key]) for key in ("cash_before", "proceeds", "spent")] == [
        CASH_BEFORE,
        proceeds,
        spent,
    ]
    assert Decimal(view["money"]["cash_after"]) == CASH_BEFORE + proceeds - spent
    assert most is None or sum(qty * RESERVED[symbol] for symbol, qty in bought.items()) <= most


@pytest.mark.parametrize("broken", ["one share more", "a leg that was not to be bought", "a leg left out"])
def test_another_reckoning_would_be_seen(stage, broken, monkeypatch):
    view = run_to_rest(stage, "resize", "cash", "part", in_plan=True)
    shares = {"one share more": (20, 0, 0), "a leg that was not to be bought": (19, 1, 0), "a leg left out": (0, 0, 0)}
    monkeypatch.setitem(MONEY, ("cash", "part"), (3000, 2000, shares[broken]))

    with pytest.raises(AssertionError):
        assert_bought(stage, view, "cash", "part")
