"""The page on the rulebook says what the rules say."""

from departments.office.settings_loader import load_settings
from departments.rulebook.plan_rules import PLAN_RULES
from departments.rulebook.rules import RULES
from scripts import rulebook_doc


def page():
    return rulebook_doc.render(load_settings(rulebook_doc.CHECKOUT / "config"))


def test_the_page_is_current():
    assert rulebook_doc.TARGET.read_text(encoding="utf-8") == page()


def test_every_rule_has_a_row_with_its_limit_and_place():
    rows = {line.split("|")[1].strip(" `"): line for line in page().splitlines() if line.startswith("| `")}

    assert set(rows) == {rule.code for rule in RULES}
    for rule in RULES:
        assert rule.protects_from in rows[rule.code]
        if rule.place is not None:
            assert f"`{rule.place.file}: {rule.place.key}`" in rows[rule.code]
    assert "| 0.08 |" in rows["POSITION_FRACTION_ABOVE_MAX"]
    assert all(f"plan_rules.py: {check.__name__}" in page() for check in PLAN_RULES)


def test_every_limit_on_losses_has_a_row_with_its_figure_and_what_it_does():
    rows = page().splitlines()

    for place, figure in (("max_daily_loss_fraction", "0.05"), ("max_drawdown_fraction", "0.20")):
        (row,) = [row for row in rows if f"`hard_constraints.yaml: loss_limits.{place}`" in row]
        assert f"| {figure} |" in row
        assert "REDUCING" in row


def test_another_limit_makes_another_page():
    shipped = load_settings(rulebook_doc.CHECKOUT / "config")
    changed = shipped.model_copy(
        update={
            "hard_constraints": shipped.hard_constraints.model_copy(
                update={
                    "position_limits": shipped.hard_constraints.position_limits.model_copy(
                        update={"max_positions_total": 29}
                    )
                }
            )
        }
    )

    assert rulebook_doc.render(changed) != page()
