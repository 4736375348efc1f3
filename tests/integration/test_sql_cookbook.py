"""Every question of `docs/sql.md` is answered as the simulated Stripe answers it, whose objects know no rows.

Each function below answers one question in Python; its name is the question's heading, in snake case.
"""

import re
from calendar import monthrange
from collections import Counter
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import pytest
from clickhouse_connect.driver.client import Client

from schemas.metrics import Metric
from schemas.money import major_decimal
from simulator.objects import Card, Invoice
from simulator.render import event_body
from simulator.truth import Fact
from tests.integration.cookbook_support import (
    FIRST_LINES,
    LETTERS,
    MOMENTS,
    PARAMETERS,
    END,
    Rows,
    Shop,
    answer,
    asked_at,
    at,
    grouped,
    local_day,
    money,
    month,
    net,
    recipes,
    told,
)
