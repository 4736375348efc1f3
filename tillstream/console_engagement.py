"""Segments and flows for the console: `console.engagement.Engagement` over engage and the commands' own functions."""

from tillstream.console_flows import ConsoleFlows
from tillstream.console_segments import ConsoleSegments


class ConsoleEngagement(ConsoleSegments, ConsoleFlows):
    """Implements `console.engagement.Engagement`."""
