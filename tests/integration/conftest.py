"""What several integration tests ask about: two shops, each made once a session and only read."""

from tests.integration.cookbook_support import finance, told

__all__ = ["finance", "told"]
