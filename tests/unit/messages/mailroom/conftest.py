import pytest

from tests.unit.messages.mailroom.houses import FakeHouse, SqlHouse


@pytest.fixture(params=["sqlite", "sqlite+pysqlite", "fake"])
def house(request, tmp_path):
    """Every kind of mailroom, one after the other."""
    opened = FakeHouse() if request.param == "fake" else SqlHouse(tmp_path, request.param)
    yield opened
    opened.close()


@pytest.fixture
def sql(tmp_path):
    """The real one alone."""
    opened = SqlHouse(tmp_path, "sqlite")
    yield opened
    opened.close()
