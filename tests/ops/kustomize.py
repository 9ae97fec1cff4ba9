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


def inlined(path):
    """A kustomization with what its components say put into it, and their files beside it: old ones look nowhere else."""
    made = yaml.safe_load(path.read_text())

    def fetched(component, name):
        copy = f"{pathlib.PurePath(component).name}-{name}"
        shutil.copy(path.parent / component / name, path.parent / copy)
        return copy

    for component in made.pop("components", []):
        there = yaml.safe_load((path.parent / component / "kustomization.yaml").read_text())
        made["resources"] += [fetched(component, name) for name in there.get("resources", [])]
        made.setdefault("patches", []).extend({"path": fetched(component, patch["path"])} for patch in there.get("patches", []))
        made.setdefault("images", []).extend(there.get("images", []))
    return made


def in_old_words(directory):
    """Say the same in every kustomization below: without components, with bases and patchesStrategicMerge."""
    for path in [p for p in directory.rglob("kustomization.yaml") if yaml.safe_load(p.read_text())["kind"] == "Kustomization"]:
        made = inlined(path)
        folders = [r for r in made["resources"] if (path.parent / r).is_dir()]
        made["resources"] = [r for r in made["resources"] if r not in folders]
        made["bases"] = folders
        made["patchesStrategicMerge"] = [patch["path"] for patch in made.pop("patches", [])]
        path.write_text(yaml.safe_dump(made))


def render(ops, folder, components=None):
    """The objects of ops/FOLDER; with components, FOLDER is made here, of the base and these."""
    with tempfile.TemporaryDirectory(prefix="understory-ops.") as scratch:
        copy = pathlib.Path(scratch) / "ops"
        shutil.copytree(ops, copy)
        if components is not None:
            (copy / folder).mkdir()
            (copy / folder / "kustomization.yaml").write_text(yaml.safe_dump({
                "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": ["../base"],
                "components": [f"../components/{name}" for name in components]}))
        if is_old():
            in_old_words(copy)
        done = subprocess.run(["kubectl", "kustomize", copy / folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
    if done.returncode != 0:
        raise SystemExit(f"Bail out! ops/{folder} cannot be rendered: {done.stderr}")
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing]


def by_name(things):
    return {(t["kind"], t["metadata"].get("namespace", ""), t["metadata"]["name"]): t for t in things}
