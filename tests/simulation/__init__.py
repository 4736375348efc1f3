"""The product on a simulated machine room: one number gives one history of crashes, pauses and lost answers.

Real are the stages, checkpoints, books, producer, timers, the worker and how it takes partitions over. Simulated are
time, the broker and its groups, Faust's part, disks and the mail server. Nothing here waits, and nothing is random but
by the seed: what went wrong once goes wrong again.
"""
