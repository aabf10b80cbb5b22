"""The firm's settings: what `config/*.yaml` may say, frozen. The loader is `settings_loader.py`.

Every field stands in exactly one file under exactly one key; `config/` ships each default on a line of its own.
"""

import json
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from departments.office.allowed_signers import Signer
from messages.plans import Mode
from messages.snapshots import HISTORY_DAYS
from messages.values import (
    AccountName,
    Exact,
    Fraction,
    Funding,
    Price,
    Qty,
    Record,
    SellShortfall,
    Symbol,
    Usd,
    sha256_hex,
)

Seconds = Annotated[int, Field(ge=0, le=86_400)]
PositiveSeconds = Annotated[int, Field(ge=1, le=86_400)]
MOST_TRADING_DAYS = 30
"""Farther back no rule on a position's age may look: the calendar is read for twice as many days."""


class AccountSettings(Record):
    """One account of `firm.yaml`.

    Attributes:
        account_number: Typed once for live money; a paper account needs none.
    """

    mode: Mode = Mode.PAPER
    account_number: str | None = None


class FirmSettings(Record):
    """`firm.yaml`."""

    accounts: dict[AccountName, AccountSettings]
    mode: Mode = Mode.PAPER


class OnViolation(StrEnum):
    """What becomes of a BUY above a limit: cut it to the limit, drop the leg, or reject the plan."""

    CUT = "cut"
    DROP = "drop"
    REJECT = "reject"


class ExecutiveSettings(Record):
    """`executive_config.yaml`."""

    sell_timeout_s: PositiveSeconds = 60
    buy_timeout_s: PositiveSeconds = 60
    cash_wait_s: PositiveSeconds = 30
    cash_poll_s: PositiveSeconds = 1
    min_time_to_close_s: Seconds = 300
    market_poll_s: PositiveSeconds = 5
    silence_s: PositiveSeconds = 60
    cancel_stuck_s: PositiveSeconds = 60
    verify_wait_s: PositiveSeconds = 15
    verify_poll_s: PositiveSeconds = 1
    sell_shortfall: SellShortfall = SellShortfall.HOLD
    funding: Funding = Funding.PROCEEDS
    on_violation: OnViolation = OnViolation.CUT
    max_resends: Annotated[int, Field(ge=0, le=10)] = 3


class PositionSizing(Record):
    """`compliance_config.yaml: position_sizing`."""

    min_position_value: Usd = Decimal(500)


class Prices(Record):
    """`compliance_config.yaml: prices`."""

    max_price_deviation_fraction: Fraction = Decimal("0.10")
    price_cushion_fraction: Fraction = Decimal("0.03")


class PriceBounds(Record):
    """`compliance_config.yaml: price_bounds`."""

    min_price: Price = Decimal("0.10")
    max_price: Price = Decimal(10_000)


class OrderCaps(Record):
    """`compliance_config.yaml: orders`."""

    max_order_value: Usd = Decimal(100_000)
    max_order_qty: Qty = Decimal(20_000)


class RiskRules(Record):
    """`compliance_config.yaml: risk`."""

    max_plan_risk_fraction: Fraction = Decimal("0.15")
    assumed_stop_fraction: Annotated[Fraction, Field(le=1)] = Decimal("0.10")


class Restricted(Record):
    """`compliance_config.yaml: restricted`."""

    symbols: tuple[Symbol, ...] = ()


class CashRules(Record):
    """`compliance_config.yaml: cash`."""

    cash_reserve: Usd = Decimal(0)


class ApprovalRules(Record):
    """`compliance_config.yaml: approval`."""

    max_plan_age_s: Annotated[int, Field(ge=1, le=31 * 86_400)] | None = 64_800


class DailyRules(Record):
    """`compliance_config.yaml: daily`."""

    max_plans: Annotated[int, Field(ge=0, le=10_000)] | None = 3
    max_orders: Annotated[int, Field(ge=0, le=1_000_000)] | None = 200
    refuse_leg_done: bool = True


class CoolDown(Record):
    """`compliance_config.yaml: cool_down`."""

    days_after_stop: Annotated[int, Field(ge=0, lt=HISTORY_DAYS)] | None = 3


class DayTrades(Record):
    """`compliance_config.yaml: day_trades`."""

    max_round_trips: Annotated[int, Field(ge=0, le=10_000)] | None = 4


class Liquidity(Record):
    """`compliance_config.yaml: liquidity`."""

    max_volume_fraction: Fraction | None = None


Coefficient = Annotated[Fraction, Field(le=1)]


class Correlation(Record):
    """`compliance_config.yaml: correlation`."""

    max_pair: Coefficient | None = None
    max_average: Coefficient | None = None


class Earnings(Record):
    """`compliance_config.yaml: earnings`."""

    days_before: Annotated[int, Field(ge=0, le=31)] | None = None


SectorName = Annotated[str, Field(min_length=1, max_length=64)]


class Sectors(Record):
    """`compliance_config.yaml: sectors`."""

    of_symbols: dict[Symbol, SectorName] = Field(default_factory=dict)


class ComplianceSettings(Record):
    """`compliance_config.yaml`."""

    position_sizing: PositionSizing = PositionSizing()
    prices: Prices = Prices()
    cash: CashRules = CashRules()
    price_bounds: PriceBounds = PriceBounds()
    orders: OrderCaps = OrderCaps()
    risk: RiskRules = RiskRules()
    restricted: Restricted = Restricted()
    approval: ApprovalRules = ApprovalRules()
    daily: DailyRules = DailyRules()
    cool_down: CoolDown = CoolDown()
    day_trades: DayTrades = DayTrades()
    liquidity: Liquidity = Liquidity()
    correlation: Correlation = Correlation()
    earnings: Earnings = Earnings()
    sectors: Sectors = Sectors()


class PositionLimits(Record):
    """`hard_constraints.yaml: position_limits`."""

    max_positions_total: Annotated[int, Field(ge=1, le=10_000)] = 30
    max_position_fraction: Fraction = Decimal("0.08")


class Exposure(Record):
    """`hard_constraints.yaml: exposure`."""

    max_gross_exposure_fraction: Fraction = Decimal("2.0")
    max_sector_fraction: Coefficient | None = None


class OnLoss(StrEnum):
    """What a limit on losses does when it is broken: only SELLs leave from then on, or nothing does."""

    REDUCING = "reducing"
    HALTED = "halted"


class LossLimits(Record):
    """`hard_constraints.yaml: loss_limits`. Fractions of equity, 1 is all of it; None: off."""

    max_daily_loss_fraction: Annotated[Fraction, Field(le=1)] | None = Decimal("0.05")
    on_daily_loss: OnLoss = OnLoss.REDUCING
    max_drawdown_fraction: Annotated[Fraction, Field(le=1)] | None = Decimal("0.20")
    on_drawdown: OnLoss = OnLoss.REDUCING


class HardConstraints(Record):
    """`hard_constraints.yaml`."""

    position_limits: PositionLimits = PositionLimits()
    exposure: Exposure = Exposure()
    loss_limits: LossLimits = LossLimits()


class SizingMethod(StrEnum):
    """How a proposal weighs its candidates: alike, by score, by price over ATR, or for the same loss at stops."""

    EQUAL = "equal"
    SCORE = "score"
    INVERSE_VOLATILITY = "inverse_volatility"
    RISK_BUDGET = "risk_budget"


class Regime(StrEnum):
    """What the operator takes the market for."""

    BULL = "bull"
    NEUTRAL = "neutral"
    BEAR = "bear"
    VOLATILE = "volatile"


class RegimeFactors(Record):
    """`operations_config.yaml: regimes`: what a regime multiplies; the limits come after it."""

    target_factor: Fraction = Decimal(1)
    size_factor: Fraction = Decimal(1)


class Regimes(Record):
    """`operations_config.yaml: regimes`."""

    bull: RegimeFactors = RegimeFactors(target_factor=Decimal("1.05"), size_factor=Decimal("1.10"))
    neutral: RegimeFactors = RegimeFactors()
    bear: RegimeFactors = RegimeFactors(target_factor=Decimal("0.60"), size_factor=Decimal("0.70"))
    volatile: RegimeFactors = RegimeFactors(target_factor=Decimal("0.75"), size_factor=Decimal("0.70"))


class StopLossExit(Record):
    """`operations_config.yaml: exits.stop_loss`."""

    enabled: bool = True
    fraction: Annotated[Fraction, Field(gt=0, lt=1)] = Decimal("0.10")


class TargetExit(Record):
    """`operations_config.yaml: exits.target`."""

    enabled: bool = True
    fraction: Annotated[Fraction, Field(gt=0)] = Decimal("0.25")


class TrailingStopExit(Record):
    """`operations_config.yaml: exits.trailing_stop`."""

    enabled: bool = True
    atr_multiple: Annotated[Exact, Field(gt=0)] = Decimal(3)


class TimeExit(Record):
    """`operations_config.yaml: exits.time`."""

    enabled: bool = True
    max_trading_days: Annotated[int, Field(ge=1, le=MOST_TRADING_DAYS)] = 5
    min_gain_fraction: Exact = Decimal("0.02")


class ScoreExit(Record):
    """`operations_config.yaml: exits.score`."""

    enabled: bool = False
    floor: Exact = Decimal(50)


class TrimExit(Record):
    """`operations_config.yaml: exits.trim`; its limit is `hard_constraints.yaml: position_limits`'."""

    enabled: bool = True


class Exits(Record):
    """`operations_config.yaml: exits`."""

    stop_loss: StopLossExit = StopLossExit()
    target: TargetExit = TargetExit()
    trailing_stop: TrailingStopExit = TrailingStopExit()
    time: TimeExit = TimeExit()
    score: ScoreExit = ScoreExit()
    trim: TrimExit = TrimExit()


ReviewTime = Annotated[str, Field(pattern=r"^(09:[345][0-9]|1[0-5]:[0-5][0-9])$")]
"""A time of New York's day at which the exchange may be open: `10:00`."""


class Monitor(Record):
    """`operations_config.yaml: monitor`."""

    enabled: bool = True
    times: Annotated[tuple[ReviewTime, ...], Field(min_length=1, max_length=24)] = ("10:00", "15:30")
    auto_approve_exits: bool = False
    clock_poll_s: PositiveSeconds = 60


class OperationsSettings(Record):
    """`operations_config.yaml`."""

    allow_fractional: bool = False
    sizing: SizingMethod = SizingMethod.EQUAL
    target_deployment_fraction: Fraction = Decimal("0.90")
    max_position_target_fraction: Fraction = Decimal("0.075")
    max_quote_age_s: PositiveSeconds = 900
    regimes: Regimes = Regimes()
    exits: Exits = Exits()
    monitor: Monitor = Monitor()


class TradingSettings(Record):
    """`trading_config.yaml`."""

    requests_per_minute: Annotated[int, Field(ge=1, le=10_000)] = 200
    connect_timeout_s: PositiveSeconds = 3
    read_timeout_s: PositiveSeconds = 10
    reconcile_interval_s: PositiveSeconds = 5
    intent_ttl_s: PositiveSeconds = 30
    unknown_quiet_s: PositiveSeconds = 10
    look_up_interval_s: PositiveSeconds = 1
    snapshot_retry_s: PositiveSeconds = 2
    gate_quote_age_s: Annotated[int, Field(ge=0, le=60)] = 2
    workers: Annotated[int, Field(ge=1, le=16)] = 4


class Settings(Record):
    """All of it; every department is handed the whole.

    Attributes:
        signers: Who may approve plans: `FIRM_HOME/allowed_signers` as it was when these settings were read, no file of
            the configuration. Nobody unless given.
    """

    firm: FirmSettings
    executive: ExecutiveSettings = ExecutiveSettings()
    compliance: ComplianceSettings = ComplianceSettings()
    hard_constraints: HardConstraints = HardConstraints()
    operations: OperationsSettings = OperationsSettings()
    trading: TradingSettings = TradingSettings()
    signers: tuple[Signer, ...] = ()

    @model_validator(mode="after")
    def _people_approve_live_plans(self) -> Self:
        if self.operations.monitor.auto_approve_exits and self.firm.mode is not Mode.PAPER:
            raise ValueError(
                "mode: live, expected paper while operations_config.yaml says monitor.auto_approve_exits: true"
            )
        return self

    def rules_sha256(self) -> str:
        """Name the policy that a plan is judged by: the rules' limits, and what becomes of what breaks them.

        Approvals bind it. Waits and the way to Alpaca are no part of it.
        """
        executive = self.executive
        parts = {
            "compliance": self.compliance.model_dump(mode="json"),
            "hard_constraints": self.hard_constraints.model_dump(mode="json"),
            "operations": self.operations.model_dump(mode="json", exclude={"monitor"}),
            "policies": [executive.sell_shortfall, executive.funding, executive.on_violation],
        }
        return sha256_hex(json.dumps(parts, sort_keys=True).encode())

    def document(self) -> str:
        """The settings as JSON, canonical for their hash."""
        return self.model_dump_json()

    def sha256(self) -> str:
        """Name these settings by what they say."""
        return sha256_hex(self.document().encode())
