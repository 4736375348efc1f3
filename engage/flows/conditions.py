"""The conditions of segments as flows use them, and the one kind that only a flow has: `happened`, since it began."""

from typing import Any

#: Filters on the properties of the event that started a run; all must pass.
Filters = tuple[Any, ...]
#: A group of conditions about the person.
Conditions = Any
