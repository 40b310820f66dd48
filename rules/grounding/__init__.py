"""Grounding: what the evidence says about every value and statement of a draft. No I/O and no clock."""

from rules.grounding.formats import write
from rules.grounding.ground import ground, supported
from rules.grounding.wire import from_json, to_json

__all__ = ["from_json", "ground", "supported", "to_json", "write"]
