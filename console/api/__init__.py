"""`/api/v1`: every number that a page shows, as JSON, and the OpenAPI document that is made from the code.

Money is exact decimal text in major units, times are RFC 3339 in UTC, days are those of the account.
"""
