"""What several integration tests ask about: one shop, made once a session and only read."""

from tests.integration.cookbook_support import told

__all__ = ["told"]
