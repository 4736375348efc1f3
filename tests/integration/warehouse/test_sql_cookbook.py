"""Every question of `docs/sql.md` is answered as the simulated Stripe answers it, whose objects know no rows."""

from datetime import datetime
from typing import Any, Final

import pytest
from clickhouse_connect.driver.client import Client

from tests.integration import cookbook_books, cookbook_collection, cookbook_sales
from tests.integration.cookbook_support import ANSWERS, END, FINANCE, MOMENTS, Shop, answer, asked_at, person, recipes

__all__ = ["cookbook_books", "cookbook_collection", "cookbook_sales"]  # the answers register themselves

RECIPES: Final = recipes()
EMPTY: Final = {"is_anything_counted_twice"}  # the only questions that should have no answer
MORE_MOMENTS: Final = {  # few cards run out in any one month
    "whose_card_expires_next_month": [datetime(2026, number, 15, tzinfo=END.tzinfo) for number in range(1, 13)],
}
Told = tuple[Client, Shop]

# The sink's client sends a whole batch as one body; aiohttp warns of those that are larger than a megabyte.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


def test_every_question_has_one_query_and_is_asked_here() -> None:
    assert RECIPES.keys() == ANSWERS.keys()
    assert len(RECIPES) >= 40
    assert {len(queries) for queries in RECIPES.values()} == {1}


@pytest.mark.parametrize("question", sorted(RECIPES))
def test_the_answer_is_the_simulated_stripes_own(question: str, request: pytest.FixtureRequest) -> None:
    told: Told = request.getfixturevalue("finance" if question in FINANCE else "told")
    client, shop = told
    (query,) = RECIPES[question]
    found = 0
    for moment in (*MOMENTS, *MORE_MOMENTS.get(question, ())):
        expected = ANSWERS[question](shop, moment)
        rows = answer(client, asked_at(query, moment), email=person(shop))
        assert rows == [tuple(map(_about, row)) for row in expected], moment
        found += len(expected)
    assert (found == 0) == (question in EMPTY), "an answer without rows proves nothing"


def _about(value: Any) -> Any:
    """Money is exact; a rate is what is left of it after rounding."""
    return pytest.approx(value, abs=1e-9) if isinstance(value, float) else value
