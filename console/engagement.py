"""Segments and flows in the console: `engage` has them, as files of the project."""

from console.flow_editing import FlowEditing
from console.flows import Flows
from console.segments import Segments


class Engagement(Segments, Flows, FlowEditing):
    """Segments and flows. Each raises TillstreamError, whose text and remedy are shown."""
