"""Candidates are read strictly: what is wrong is named with its line, what is missing stays missing."""

from datetime import date
from decimal import Decimal

import pytest

from departments.office.bad_input import BadInput
from departments.office.settings import Regime
from departments.operations.candidates import Candidate, candidates_of

YAML = """\
regime: bear
candidates:
  - {symbol: AA, score: "74.8", price: "16.992", sector: Technology, atr: "0.5", stop: "15.5", target: "20", volume: 9,
     earnings_date: 2025-11-12}
  - {symbol: BRK.B}
"""
WHOLE = Candidate(
    symbol="AA",
    score=Decimal("74.8"),
    price_usd=Decimal("16.992"),
    sector="Technology",
    atr_usd=Decimal("0.5"),
    stop_usd=Decimal("15.5"),
    target_usd=Decimal(20),
    volume=Decimal(9),
    earnings_date=date(2025, 11, 12),
)


def complaint(text: str, name: str) -> str:
    with pytest.raises(BadInput) as caught:
        candidates_of(text.encode(), name)
    return str(caught.value)


def test_yaml_is_read_whole_and_what_is_missing_stays_missing():
    found = candidates_of(YAML.encode(), "c.yaml")

    assert found.items == (WHOLE, Candidate(symbol="BRK.B"))
    assert found.regime is Regime.BEAR


def test_csv_says_the_same_as_yaml():
    header = "symbol,score,price,sector,atr,stop,target,volume,earnings_date"
    rows = (header, "AA,74.8,16.992,Technology,0.5,15.5,20,9,2025-11-12", "BRK.B,,,,,,,,", "")

    found = candidates_of("\r\n".join(rows).encode(), "c.csv")

    assert found.items == (WHOLE, Candidate(symbol="BRK.B"))
    assert (found.regime, found.ignored) == (None, ())


@pytest.mark.parametrize("word", ["Unknown", "unknown", "N/A", "-", "None", ""])
def test_a_word_for_no_sector_is_no_sector(word):
    found = candidates_of(f"symbol,sector\nAA,{word}\nBB,Energy\n".encode(), "c.csv")

    assert [one.sector for one in found.items] == [None, "Energy"]


def test_a_composite_is_taken_for_the_score_and_other_columns_are_named():
    found = candidates_of(b"symbol,price,technical,composite\nAA,10,100.0,74.8\n", "c.csv")

    assert found.items == (Candidate(symbol="AA", price_usd=Decimal(10), score=Decimal("74.8")),)
    assert found.ignored == ("technical",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("symbol,price\nAA,10\nAA,11\n", "c.csv:3: candidate 2 (AA): stands twice, expected once (first in line 2)"),
        ("symbol,price\nAA,-10\n", "c.csv:2: candidate 1 (AA): price: '-10', expected a decimal of plain digits"),
        ("symbol,price\nAA,0\n", "c.csv:2: candidate 1 (AA): price: '0', expected more than 0"),
        ("symbol,score\nAA,NaN\n", "c.csv:2: candidate 1 (AA): score: 'NaN', expected a decimal of plain digits"),
        ("symbol,score\nAA,inf\n", "c.csv:2: candidate 1 (AA): score: 'inf', expected a decimal of plain digits"),
        ("symbol,stop\nAA,9.999\n", "c.csv:2: candidate 1 (AA): stop: '9.999', expected at most 2 decimals"),
        ("symbol,price\n", "c.csv:1: candidates: an empty list, expected at least one"),
        ("", "c.csv:1: is empty, expected a line of column names"),
        ("symbol,price\nAA\n", "c.csv:2: 1 values, expected 2, one for each column"),
        ("symbol,prise\nAA,1\n", "c.csv:1: unknown column 'prise', did you mean 'price'?"),
        ("symbol,price,price\nAA,1,1\n", "c.csv:1: column 'price' stands twice, expected once"),
        ("ticker,price\nAA,1\n", "c.csv:1: no column symbol"),
        ("symbol,price\naa,1\n", "c.csv:2: candidate 1: symbol: 'aa', expected a ticker like AAPL or BRK.B"),
        ("symbol,price\n,1\n", "c.csv:2: candidate 1: symbol has no value, expected one"),
        ('symbol,price\n"AA,1\n', "is not CSV"),
    ],
)
def test_bad_csv_is_named_with_its_line(text, said):
    assert said in complaint(text, "c.csv")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("candidates: []\n", "c.yaml:1: candidates: an empty list, expected at least one"),
        ("candidates:\n  - {symbol: AA, score: .nan}\n", "c.yaml:2: candidate 1 (AA): score: '.nan'"),
        ("candidates:\n  - {symbol: AA}\n  - {symbol: AA}\n", "c.yaml:3: candidate 2 (AA): stands twice"),
        ("candidates:\n  - {symbol: AA, prise: 1}\n", "c.yaml:2: candidate 1: unknown key 'prise', did you mean"),
        ("regime: wild\ncandidates: [{symbol: AA}]\n", "c.yaml:1: regime: text 'wild', expected bull or neutral"),
        ("regime: bull\n", "c.yaml:1: the file: candidates is missing, expected it"),
    ],
)
def test_bad_yaml_is_named_with_its_line(text, said):
    assert said in complaint(text, "c.yaml")


def test_every_problem_is_told_at_once():
    said = complaint("symbol,price,score\nAA,-1,5\nBB,2,nan\nAA,1,1\n", "c.csv")

    assert [line.split(": ")[0] for line in said.splitlines()] == ["c.csv:2", "c.csv:3", "c.csv:4"]
    assert "price" in said
    assert "nan" in said


def test_too_many_candidates_are_refused():
    rows = "".join(f"A{number}\n" for number in range(501))

    assert "501 items, expected at most 500" in complaint(f"symbol\n{rows}", "c.csv")
