"""Rendering of ops/ by `kubectl kustomize`, whichever kubectl is there."""
import pathlib
import re
import shutil
import subprocess
import tempfile

import yaml


def is_old():
    """Debian 12's kubectl has kustomize 2.0, which knows neither directories among resources nor patches as a list of paths."""
    text = subprocess.run(["kubectl", "version", "--client", "-o", "yaml"], stdout=subprocess.PIPE, check=True, text=True).stdout
    return int(re.match(r"\d+", yaml.safe_load(text)["clientVersion"]["minor"])[0]) < 21


def in_old_words(directory):
    """Say the same in every kustomization below: bases and patchesStrategicMerge."""
    for path in directory.rglob("kustomization.yaml"):
        made = yaml.safe_load(path.read_text())
        folders = [r for r in made["resources"] if (path.parent / r).is_dir()]
        made["resources"] = [r for r in made["resources"] if r not in folders]
        made["bases"] = folders
        made["patchesStrategicMerge"] = [patch["path"] for patch in made.pop("patches", [])]
        path.write_text(yaml.safe_dump(made))


def render(ops, folder):
    """The objects of ops/FOLDER."""
    with tempfile.TemporaryDirectory(prefix="understory-ops.") as scratch:
        copy = pathlib.Path(scratch) / "ops"
        shutil.copytree(ops, copy)
        if is_old():
            in_old_words(copy)
        done = subprocess.run(["kubectl", "kustomize", copy / folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
    if done.returncode != 0:
        raise SystemExit(f"Bail out! ops/{folder} cannot be rendered: {done.stderr}")
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def by_name(things):
    return {(t["kind"], t["metadata"].get("namespace", ""), t["metadata"]["name"]): t for t in things}
