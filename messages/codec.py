"""Messages <-> JSON: one tagged union, versioned. Snapshots are stored once, by hash, and referred to.

A message is `type`, `version` and `body`. What can't be decoded raises `Undecodable`;
the mailroom makes it a dead letter.
"""

from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import cast, get_args

from pydantic import ValidationError

from messages import broker, control, orders, plans, proposals, reviews
from messages.message import Message
from messages.snapshots import DOCUMENTS, LOAD, READ, Document

AnyMessage = (
    plans.SubmitPlan
    | reviews.ReviewPlan
    | reviews.PlanReviewed
    | orders.PlaceOrders
    | orders.CancelOrders
    | orders.OrderUpdated
    | orders.OrderNotSent
    | orders.RequestSnapshot
    | orders.SnapshotReady
    | orders.SnapshotUnavailable
    | orders.StrangerSeen
    | orders.FillBusted
    | orders.GateOpened
    | orders.RunEnded
    | orders.BrokerHealthChanged
    | broker.SubmitOrder
    | broker.CancelOrder
    | broker.FetchOrder
    | broker.FetchOrders
    | broker.FetchSnapshot
    | broker.FetchAccount
    | broker.AccountFetched
    | broker.StopWatching
    | broker.OrderAnswered
    | broker.OrderRefused
    | broker.OutcomeUnknown
    | broker.DoorClosed
    | broker.OrderMissing
    | broker.CancelAnswered
    | broker.OrdersFetched
    | broker.SnapshotFetched
    | broker.FetchFailed
    | broker.OrderStreamed
    | broker.StrangerStreamed
    | broker.StreamConnected
    | broker.StreamLost
    | broker.WatchOrder
    | broker.BrokerJudged
    | broker.RunTrades
    | broker.StreamResumed
    | broker.StrangerNoticed
    | proposals.FitBuys
    | proposals.BuysFitted
    | proposals.LevelsPlanned
    | proposals.AskAccountLook
    | proposals.AccountLook
    | proposals.FileProposal
    | proposals.ProposalFiled
    | proposals.ProposalNotFiled
    | control.FirmOpened
    | control.HaltTrading
    | control.ReduceTrading
    | control.ResumeTrading
    | control.ReleaseRun
    | control.AbortRun
    | control.BeginRun
    | control.HaltRun
    | control.ReduceRun
    | control.ResumeRun
    | control.RunFinished
    | control.PlanQueued
    | control.DeadlinePassed
    | control.AccountDeadlinePassed
    | control.DeadLetter
    | control.HoldRun
)

MESSAGE_TYPES: Mapping[str, type[Message]] = {kind.__name__: kind for kind in get_args(AnyMessage)}


class Undecodable(ValueError):
    """A stored message that this version can't read. The text says what was expected and what came."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A message as it is stored.

    Attributes:
        documents: What `body` refers to: id -> JSON.
    """

    type: str
    version: int
    body: str
    documents: Mapping[str, str]


def encode(message: Message) -> Encoded:
    """Write a message down."""
    documents: dict[str, str] = {}
    body = message.model_dump_json(context={DOCUMENTS: documents}, exclude_defaults=True)
    return Encoded(type(message).__name__, message.VERSION, body, documents)


def decode(
    type_name: str,
    version: int,
    body: str,
    load: Callable[[str], str],
    read: MutableMapping[str, Document] | None = None,
) -> Message:
    """Read a message back.

    Args:
        type_name: As `Encoded.type`.
        version: As `Encoded.version`.
        body: As `Encoded.body`.
        load: Gives a document by its id; raises KeyError where there is none.
        read: Documents that were read before, by id; what is read now is put there.

    Raises:
        Undecodable: Unknown type or version, missing document, or a body that doesn't fit.
    """
    kind = MESSAGE_TYPES.get(type_name)
    if kind is None:
        raise Undecodable(f"expected a known message type, was {type_name!r}")
    if version != kind.VERSION:
        raise Undecodable(f"{type_name}: expected version {kind.VERSION}, was {version}")
    try:
        # pydantic's own method adds a check of arguments that costs as much as reading a small message
        read_json = kind.__pydantic_validator__.validate_json
        return cast("Message", read_json(body, context={LOAD: load, READ: {} if read is None else read}))
    except KeyError as error:
        raise Undecodable(f"{type_name}: document {error} is missing") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Undecodable(f"{type_name}.{where}: {first['msg']}") from error
