"""The two stages of flows: facts settle (by fact), then people go through flows (by person)."""
