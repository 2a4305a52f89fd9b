"""The paper venue: `PaperAccount` and, over it, `PaperBroker`, which is a `ports.Broker`."""

from engine.account import PaperAccount

__all__ = ["PaperAccount"]
