"""What needs a running `up`, and does not mind others beside it: one `up` for all of it."""
