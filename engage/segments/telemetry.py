"""What segments count, for Prometheus."""

from prometheus_client import Counter, Histogram

#: People who entered or left, by segment.
CHANGES = Counter("tillstream_segment_changes_total", "People who entered or left", ["segment"])

#: One evaluation: difference, members and changes.
MEMBERS_SECONDS = Histogram("tillstream_segment_evaluation_seconds", "Seconds an evaluation of a segment takes")
