"""The firm's own yes to its exit proposals, on a paper account: signed and judged as a person's, under its own name."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from departments.executive.approval_file import approval_path, new_approval, why_refused, write_approval
from departments.executive.plan_file import read_plan
from departments.office.bad_input import BadInput
from departments.office.clock import Clock
from departments.office.settings import Settings
from messages.plans import Mode, SubmitPlan
from messages.values import run_id_for

FIRM_SIGNER = "firm"
"""The name that `allowed_signers` must give the key."""


@dataclass(frozen=True, slots=True)
class OwnApproval:
    """Approves filed plans.

    Attributes:
        settings: In force, signers among them.
        key: Of the firm's own; None: there is none.
        clock: The store's.
    """

    settings: Settings
    key: Ed25519PrivateKey | None
    clock: Clock

    def __call__(self, path: Path, text: str) -> SubmitPlan | str:
        """Approve a plan and write the approval beside it; or say why it can't be."""
        data = text.encode()
        try:
            plan, plan_text = read_plan(data, name=str(path), accounts=self.settings.firm.accounts)
        except BadInput as error:
            return str(error)
        if self.settings.firm.accounts[plan.account].mode is not Mode.PAPER:
            return f"account {plan.account} is no paper account"
        if self.key is None:
            return "it has no key"
        now = self.clock.now()
        approval = new_approval(
            plan,
            settings=self.settings,
            approved_by=FIRM_SIGNER,
            key=self.key,
            now=now,
            nonce=secrets.token_hex(16),
        )
        why_not = why_refused(plan, approval, data, settings=self.settings, now=now)
        if why_not is not None:
            return why_not
        try:
            write_approval(approval_path(path), approval)
        except OSError as error:
            return f"{error.filename}: {error.strerror}"
        run_id = run_id_for(plan.account, plan.plan_sha256)
        return SubmitPlan(run_id=run_id, plan=plan, approval=approval, plan_text=plan_text)
