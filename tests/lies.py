"""What a lying server does to the messages that pass it: exactly so many, and it keeps account.

    --drop N     leaves a message out
    --double N   sends it twice
    --swap N     sends it behind the one that follows it
    --corrupt N  changes a byte: those at --byte, one after the other (default: the last)

N is for each channel. A lie is about one message to one subscriber, and no message is lied about
twice. The first is told of the message numbered --from (default 5) or a later one, so that all have
their place in the channel by then; with --reopened, only to those who came after the channel's
first, and among their first messages, at most --fresh (default 4): who comes and goes may not be
there for the next. The next lie is told SPACING messages later: a swapped one needs a truthful
neighbour.
"""

import json
from collections import Counter
from dataclasses import dataclass, field

KINDS = ("drop", "double", "swap", "corrupt")
SPACING = 3
FRESH = 4  # messages of a connection, but the first: its ledger may begin with that one
NUMBER = slice(8, 16)  # in the head of the bench's payload: bench/load/payload.h


def add_options(parser):
    kinds = parser.add_mutually_exclusive_group()
    for kind in KINDS:
        kinds.add_argument(f"--{kind}", type=int, metavar="N")
    parser.add_argument("--byte", type=int, nargs="+", default=[-1])
    parser.add_argument("--from", dest="first", type=int, default=5)
    parser.add_argument("--reopened", action="store_true")
    parser.add_argument("--fresh", type=int, default=FRESH, metavar="N")
    parser.add_argument("--tally", metavar="FILE", help="how many lies were told on each channel")


@dataclass
class Stream:
    """One subscriber of one channel, for as long as its connection lasts."""
    channel: str
    late: bool
    seen: int = 0  # messages
    held: object = None  # a message that waits for the one that is to come before it


@dataclass
class Liar:
    kind: str | None = None
    count: int = 0
    bytes: tuple = (-1,)
    first: int = 5
    reopened: bool = False
    fresh: int = FRESH
    tally: str | None = None
    told: Counter = field(default_factory=Counter)
    due: dict = field(default_factory=dict)  # channel: the number from which on to lie again

    @classmethod
    def of(cls, options):
        kind = next((kind for kind in KINDS if getattr(options, kind)), None)
        return cls(kind, getattr(options, kind) if kind else 0, tuple(options.byte), options.first,
                   options.reopened, options.fresh, options.tally)

    def stream(self, channel):
        return Stream(channel, channel in self.due)

    def pass_on(self, stream, text, form):
        """What is sent in the place of a message: a list. `form` makes a message of a payload."""
        lie = self.lie_about(stream, int(text[NUMBER], 16))
        message = form(text)
        if lie == "swap":
            stream.held = message
            return []
        if lie == "corrupt":
            message = form(self.changed(stream, text))
        sent = {"drop": [], "double": [message, message]}.get(lie, [message])
        if stream.held is not None:
            sent.append(stream.held)
            stream.held = None
        return sent

    def lie_about(self, stream, number):
        due = self.due.setdefault(stream.channel, self.first)
        stream.seen += 1
        if (self.told[stream.channel] == self.count or number < due or stream.held is not None
                or (self.reopened and not (stream.late and 1 < stream.seen <= self.fresh))):
            return None
        self.told[stream.channel] += 1
        self.due[stream.channel] = number + SPACING
        return self.kind

    def changed(self, stream, text):
        at = self.bytes[self.told[stream.channel] % len(self.bytes)] % len(text)
        other = "b" if text[at] != "b" else "c"
        return text[:at] + other + text[at + 1:]

    def has_done(self, stream):
        """Whether all that is still to come on this stream is the truth."""
        return stream.held is None and (
            self.told[stream.channel] == self.count
            or (self.reopened and stream.seen > 0
                and (not stream.late or stream.seen > self.fresh)))

    def write_tally(self):
        if self.tally:
            with open(self.tally, "a", encoding="utf-8") as file:
                file.write(json.dumps(dict(self.told)) + "\n")
