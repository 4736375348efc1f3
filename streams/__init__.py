"""The runtime of the stages: messages in, state and outputs durable together, fenced; and Kafka for everybody else.

Faust, aiokafka and RocksDB end here. What a message means is no business of this package.
It imports only `settings` and `schemas`.
"""
