"""Balance transactions and payouts to their topics; with a payout goes what it took."""

from collections.abc import Collection, Sequence
from typing import Any, Final

from pydantic import BaseModel

from connector.balance import messages
from connector.publish import Publisher
from connector.stripe_api import Json, StripeApi
from schemas.topics import BALANCE_TRANSACTIONS, PAYOUTS

#: What `source` is (which charge a refund is of, what is captured of a charge) comes along, without questions by name.
EXPAND: Final[dict[str, Any]] = {"expand": ["data.source"]}


async def tell_transactions(
    api: StripeApi, publisher: Publisher, objects: Sequence[Json], at: float, payout: str = ""
) -> None:
    """Returns when Kafka has them. Raises BadAnswer, Unavailable."""
    made = [messages.transaction(api.account, api.livemode, one, at, payout) for one in objects]
    await publisher.tell(BALANCE_TRANSACTIONS, [(one.transaction_id, _json(one)) for one in made])


async def tell_payouts(
    api: StripeApi, publisher: Publisher, objects: Sequence[Json], at: float, known: Collection[str] = ()
) -> list[str]:
    """The ids of those whose contents were told as well, which is not done for `known` ones.

    A payout is told after its contents: whoever sees it completed finds them. Raises what `connector.errors` names.
    """
    told = []
    for one in objects:
        if messages.knows_contents(one) and one["id"] not in known:
            async for page in api.pages("/v1/balance_transactions", {"payout": one["id"], **EXPAND}):
                await tell_transactions(api, publisher, page.objects, page.fetched_at, one["id"])
            told.append(one["id"])
    made = [messages.payout(api.account, api.livemode, one, at) for one in objects]
    await publisher.tell(PAYOUTS, [(one.payout_id, _json(one)) for one in made])
    return told


def _json(model: BaseModel) -> bytes:
    return model.model_dump_json().encode()
