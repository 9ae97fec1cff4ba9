#!/usr/bin/python3
"""ops/alerts.yaml as Prometheus Operator wants it. For ./build.sh manifests; prints YAML.

usage: prometheus_rule.py ALERTS
"""
import pathlib
import re
import sys

HEAD = """# Made from ops/alerts.yaml by ./build.sh manifests: change that one.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: understory
  namespace: pgro-system
  labels:
    app.kubernetes.io/name: understory
spec:
"""
text = pathlib.Path(sys.argv[1]).read_text()
groups = text[text.index("groups:"):]
print(HEAD + re.sub(r"^(?=.)", "  ", groups, flags=re.MULTILINE), end="")
