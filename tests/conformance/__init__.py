"""The promises of `streams` to a stage, held against Faust on the real broker and against the simulated runtime."""
