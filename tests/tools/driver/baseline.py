"""Failures that are known and explained: tests/expected-failures.txt.

One line each: `suite leg item reason…`; the leg may be `*`. An entry that no longer fails is stale and fails the run,
so that the file can only tell the truth.
"""

import dataclasses


@dataclasses.dataclass
class Entry:
    suite: str
    leg: str
    item: str
    reason: str
    line: int
    used: bool = False

    def covers(self, suite, leg, item):
        return self.suite == suite and self.leg in (leg, "*") and self.item == item


class Baseline:
    def __init__(self, path):
        self.entries = []
        if not path.is_file():
            return
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            words = line.split(maxsplit=3)
            if len(words) < 4:
                raise SystemExit(f"{path.name}:{number}: wanted `suite leg item reason`, got: {line}")
            self.entries.append(Entry(*words, number))

    def expects(self, suite, leg, item):
        """Whether a failure is known; marks the entry as still true."""
        known = [e for e in self.entries if e.covers(suite, leg, item)]
        for entry in known:
            entry.used = True
        return bool(known)

    def stale(self, ran):
        """Entries about (suite, leg) pairs that ran, none of which failed as the entry says."""
        return [e for e in self.entries if not e.used and any(s == e.suite and e.leg in (leg, "*") for s, leg in ran)]
