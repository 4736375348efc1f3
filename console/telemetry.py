"""What the console counts, for Prometheus."""

from prometheus_client import Counter, Histogram

#: From the request to the answer, by page.
ANSWERED_IN = Histogram(
    "tillstream_console_answer_seconds",
    "Seconds from request to answer, by page",
    ["page"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0),
)

#: Answers by status.
ANSWERS = Counter("tillstream_console_answers_total", "Answers by HTTP status", ["status"])

#: Tokens that were tried, by a form or a program: accepted, refused, or not looked at because too many were wrong.
SIGN_INS = Counter("tillstream_console_sign_ins_total", "Tokens that were tried, by outcome", ["outcome"])
