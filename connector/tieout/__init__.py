"""The tie-out: every cent of Stripe's account of the money has the name of a row, or another name; every row its money.

`facts` are plain values, `rules` are pure and share nothing with the ledger's, `money` asks ClickHouse for the facts,
`store` keeps the answers and `run` does it all for one account.
"""
