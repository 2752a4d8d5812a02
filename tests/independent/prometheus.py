#!/usr/bin/env python3
"""Reads the metrics of `tabellion witness status --prometheus` with Prometheus' own Python parser.

Usage: prometheus.py FILE

Accepts a text whose families each have help, a type and samples, none twice, with finite values, counters named _total, and which tells the
health of a desk exactly once. Then, as a control, spoils the text in several ways and expects each copy to be refused. Needs the Debian
package python3-prometheus-client.
"""

import math
import re
import sys

from prometheus_client.parser import text_string_to_metric_families


class Refused(Exception):
    pass


def check(text):
    """How many families and samples the text has."""
    if not text.endswith("\n"):
        raise Refused("the last line is not whole")
    typed = re.findall(r"^# TYPE (\S+) (counter|gauge)$", text, re.M)
    helped = re.findall(r"^# HELP (\S+) \S", text, re.M)
    if [name for name, _ in typed] != helped or len(set(helped)) != len(helped):
        raise Refused("help and type do not go together")
    types = dict(typed)
    seen, families = set(), 0
    for family in text_string_to_metric_families(text):
        families += 1
        if family.type not in ("counter", "gauge") or not family.documentation or not family.samples:
            raise Refused(f"{family.name}: no type, help or samples")
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            if key in seen:
                raise Refused(f"{key} stands twice")
            seen.add(key)
            if sample.name not in types:
                raise Refused(f"{sample.name} has no type")
            if (types[sample.name] == "counter") != sample.name.endswith("_total"):
                raise Refused(f"{sample.name} is a {types[sample.name]}")
            if not sample.name.startswith("tabellion_"):
                raise Refused(f"{sample.name} is not ours")
            if not math.isfinite(sample.value) or sample.value < 0:
                raise Refused(f"{sample.name} is {sample.value}")
    if families != len(typed):
        raise Refused(f"{families} families found, {len(typed)} announced")
    # What stands on sample lines of the text and what was read are as many: no line hides in another.
    lines = [line for line in text.split("\n") if line and not line.startswith("#")]
    if len(lines) != len(seen):
        raise Refused(f"{len(lines)} lines of samples, {len(seen)} samples read")
    states = {dict(labels).get("state") for name, labels in seen if name == "tabellion_ledger_health"}
    if states != {"ok", "corrupted", "unusable"}:
        raise Refused(f"health has states {states}")
    return families, len(seen)


def spoilt(text):
    """Copies of the text, each spoilt in one way."""
    sample = next(line for line in text.split("\n") if line and not line.startswith("#") and "{" in line)
    yield "a type is missing", re.sub(r"^# TYPE .*\n", "", text, count=1, flags=re.M)
    yield "a help is missing", re.sub(r"^# HELP .*\n", "", text, count=1, flags=re.M)
    yield "a sample stands twice", text + sample + "\n"
    yield "a quote is not escaped", text.replace(sample, sample.replace('="', '=""', 1), 1)
    yield "a value is no number", text.replace(sample, sample.rsplit(" ", 1)[0] + " many", 1)
    yield "a value is missing", text.replace(sample, sample.rsplit(" ", 1)[0], 1)
    yield "a line was put in", text.replace(sample, sample + "\nunknown 1", 1)
    yield "the end is missing", text[:-1]
    yield "a counter is called a gauge", text.replace(" counter\n", " gauge\n", 1)
    yield "the health is missing", re.sub(r"^tabellion_ledger_health.*\n", "", text, flags=re.M)


def main():
    with open(sys.argv[1], encoding="utf-8", newline="") as file:
        text = file.read()
    families, samples = check(text)
    refused = 0
    for how, copy in spoilt(text):
        if copy == text:
            sys.exit(f"prometheus: {how}: the copy is not spoilt")
        try:
            check(copy)
        except Exception:  # whatever the parser says of it
            refused += 1
            continue
        sys.exit(f"prometheus: {how}: ACCEPTED")
    print(f"{families} families, {samples} samples; {refused} spoilt copies refused")


main()
