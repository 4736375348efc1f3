"""The business rules: pure functions from observations to rows. No broker, no web, no database in here."""
