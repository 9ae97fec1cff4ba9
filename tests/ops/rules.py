"""Alerts under promtool: which of them fire over given series."""
import pathlib
import subprocess
import tempfile

import yaml



def alerts(rules):
    """{name: rule} of the file."""
    return {rule["alert"]: rule for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}


def test(rules, step_s, cases, only=".+"):
    """Complaints of promtool, nothing when all is well. cases: (name, {series: values}, [(from_step, at_step, the alerts that fire then)]);
    from_step None: at that moment, else at any time since. only: a pattern for the alerts that are looked at."""
    firing_now = f'ALERTS{{alertstate="firing",alertname=~"{only}"}}'
    tests = []
    for name, series, wanted in cases:
        asks = []
        for begin, at, firing in wanted:
            seen = firing_now if begin is None else f"count_over_time({firing_now}[{(at - begin) * step_s}s])"
            asks.append({"expr": f"count by (alertname) ({seen})", "eval_time": f"{at * step_s}s",
                         "exp_samples": [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in sorted(firing)]})
        tests.append({"name": name, "interval": f"{step_s}s", "promql_expr_test": asks,
                      "input_series": [{"series": key, "values": values} for key, values in series.items()]})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump({"rule_files": [str(pathlib.Path(rules).resolve())], "evaluation_interval": f"{step_s}s", "tests": tests}, file)
        file.flush()
        done = subprocess.run(["promtool", "test", "rules", file.name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return None if done.returncode == 0 else done.stdout
