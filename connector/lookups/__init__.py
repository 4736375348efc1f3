"""What the ledger would like to know is asked once, and comes back as an observation.

`questions` is pure: what waits, what is known, which offsets are done. `worker` reads the topic, `lane` asks one
account, `answers` says how, and `parked` keeps what could not be answered until it can.
"""
