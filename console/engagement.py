"""Segments, flows and mails in the console: `engage` has them, as revisions and as files of the project."""

from console.flow_editing import FlowEditing
from console.flows import Flows
from console.mail_editing import MailEditing
from console.segments import Segments
from engage.definitions.keeping import Definitions
from settings.loading import load_settings
from settings.table import Settings
from streams.address import open_broker


class Engagement(Segments, Flows, FlowEditing, MailEditing):
    """Segments, flows and mails. Each raises TillstreamError, whose text and remedy are shown."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        data = settings.tillstream_data
        self.definitions = Definitions(lambda: open_broker(load_settings(tillstream_data=data)), settings.project)
