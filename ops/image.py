#!/usr/bin/python3
"""Makes the OCI image of understory and understory-proxy: the two programs, the shared libraries that they load, the CA certificates of
Debian, and nothing else; no shell, no package manager. The same programs on the same packages give the same bytes.

usage: image.py SOURCE_ROOT BUILD_FOLDER OUTPUT_FOLDER
OUTPUT_FOLDER becomes an OCI image layout (skopeo copy oci:OUTPUT_FOLDER:VERSION docker://...), beside it OUTPUT_FOLDER.spdx.json: the
Debian packages whose files are inside. From the environment: SOURCE_DATE_EPOCH, the time of everything, else that of the last commit;
IMAGE_SOURCE, the address of the source for the label of that name, which is left out without.
"""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import subprocess
import sys
import tarfile
import tempfile
import time

PROGRAMS = {"usr/bin/understory": "reconciler/understory", "usr/bin/understory-proxy": "canopy/proxy/understory-proxy"}
USER = 65532  # a number: kubelet cannot tell of a name that it is not root's
# What a runtime mounts onto, or programs expect. Debian's merged /usr: the loader's path is /lib64/...
DIRECTORIES = {"dev": 0o755, "etc": 0o755, "etc/ssl/certs": 0o755, "proc": 0o755, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "usr/bin": 0o755,
               "usr/lib": 0o755, "usr/lib64": 0o755, "var": 0o755}
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "var/run": "/run"}
TEXTS = {"etc/passwd": f"root:x:0:0:root:/:/nonexistent\nunderstory:x:{USER}:{USER}:understory:/:/nonexistent\n",
         "etc/group": f"root:x:0:\nunderstory:x:{USER}:\n", "etc/nsswitch.conf": "hosts: files dns\n"}
# The package's own certificates: the machine's bundle may hold others, of its own network.
CERTIFICATES, BUNDLE = pathlib.Path("/usr/share/ca-certificates/mozilla"), "etc/ssl/certs/ca-certificates.crt"
NOTICES = "usr/share/doc"


def said(*command, **more):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, check=True, text=True, **more).stdout.strip()


def libraries(program):
    """Where the loader finds what the program needs, itself included; as the program names it."""
    lines = said("ldd", program).splitlines()
    missing = [line for line in lines if "not found" in line]
    if missing:
        raise SystemExit(f"{program}: {missing}")
    return {pathlib.Path(path) for path in re.findall(r"(?:=> |^\s*)(/\S+) \(", "\n".join(lines), re.MULTILINE)}


def place(path):
    """In the image, below the real directories: /lib/x is usr/lib/x."""
    parts = path.parts[1:]
    return str(pathlib.Path(*(("usr",) if parts[0] in ("lib", "lib64") else ()), *parts))


def packages_of(paths):
    """The Debian packages that these files came with. dpkg knows some files below /lib and some below /usr/lib."""
    names = {}
    for path in paths:
        real = path.resolve()
        bare = pathlib.Path("/", *real.parts[2:]) if real.parts[1] == "usr" else real
        names.update({str(bare): real, f"/usr{bare}": real})
    done = subprocess.run(["dpkg-query", "-S", *names], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    found = {names[path]: owner for owner, path in (line.split(": ") for line in done.stdout.splitlines())}
    unknown = set(names.values()) - found.keys()
    if unknown:
        raise SystemExit(f"no Debian package has {sorted(map(str, unknown))}")
    return set(found.values())


class Root:
    """The root file system: {name: (mode, content)}, content None: a directory, text: a link."""

    def __init__(self, build):
        self.files = {name: (mode, None) for name, mode in DIRECTORIES.items()}
        self.files.update((name, (0o777, target)) for name, target in LINKS.items())
        for name, text in TEXTS.items():
            self.put(name, text.encode())
        self.libraries = set()
        self.put(BUNDLE, b"".join(path.read_bytes().rstrip(b"\n") + b"\n" for path in sorted(CERTIFICATES.glob("*.crt"))))
        for name, program in PROGRAMS.items():
            self.add_program(name, build / program)
        for library in self.libraries:
            self.put(place(library), library.resolve().read_bytes(), 0o755 if library.name.startswith("ld-") else 0o644)
        self.packages = packages_of(self.libraries) | {"ca-certificates"}
        for package in self.packages:
            self.add_notice(package)

    def put(self, name, content, mode=0o644):
        self.files[name] = (mode, content)
        for parent in pathlib.PurePath(name).parents:
            if str(parent) != ".":
                self.files.setdefault(str(parent), (0o755, None))

    def add_program(self, name, program):
        with tempfile.NamedTemporaryFile() as bare:
            said("strip", "-o", bare.name, program)
            self.put(name, pathlib.Path(bare.name).read_bytes(), 0o755)
        self.libraries |= libraries(program)

    def add_notice(self, package):
        name = package.split(":")[0]
        self.put(f"{NOTICES}/{name}/copyright", pathlib.Path("/usr/share/doc", name, "copyright").read_bytes())

    def tar(self, at_s):
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for name, (mode, content) in sorted(self.files.items()):
                info = tarfile.TarInfo(name)
                info.mode, info.mtime = mode, at_s
                if content is None:
                    info.type = tarfile.DIRTYPE
                elif isinstance(content, str):
                    info.type, info.linkname = tarfile.SYMTYPE, content
                else:
                    info.size = len(content)
                tar.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
        return made.getvalue()


def bill(packages, version, at_s):
    """SPDX 2.3: this image and the packages whose files are in it."""
    shape = "${binary:Package}\t${Version}\t${source:Package}\t${source:Version}\t${Architecture}\n"
    rows = [line.split("\t") for line in said("dpkg-query", "-W", "-f", shape, *sorted(packages)).splitlines()]
    own = {"SPDXID": "SPDXRef-understory", "name": "understory", "versionInfo": version, "downloadLocation": "NOASSERTION",
           "filesAnalyzed": False, "licenseConcluded": "Apache-2.0", "licenseDeclared": "Apache-2.0", "copyrightText": "NOASSERTION"}
    release = re.search(r'^VERSION_ID="?([0-9.]+)', pathlib.Path("/etc/os-release").read_text(), re.MULTILINE)[1]
    theirs = []
    for name, their_version, source, source_version, architecture in rows:
        name = name.split(":")[0]
        theirs.append({
            "SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": their_version,
            "supplier": "Organization: Debian", "downloadLocation": "NOASSERTION", "filesAnalyzed": False,
            "sourceInfo": f"built from: {source} {source_version}", "licenseConcluded": "NOASSERTION", "licenseDeclared": "NOASSERTION",
            "licenseComments": f"see /{NOTICES}/{name}/copyright in the image", "copyrightText": "NOASSERTION",
            "externalRefs": [{"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
                              "referenceLocator": f"pkg:deb/debian/{name.replace('+', '%2B')}@{their_version.replace('+', '%2B')}"
                                                  f"?arch={architecture}&distro=debian-{release}"}]})
    about = hashlib.sha256(json.dumps([version, rows]).encode()).hexdigest()
    return {"spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": f"understory-{version}",
            "documentNamespace": f"urn:sha256:{about}", "packages": [own, *theirs],
            "creationInfo": {"created": when(at_s), "creators": ["Tool: understory-ops-image"]},
            "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES", "relatedSpdxElement": own["SPDXID"]}] +
                             [{"spdxElementId": own["SPDXID"], "relationshipType": "CONTAINS", "relatedSpdxElement": p["SPDXID"]}
                              for p in theirs]}


def when(at_s):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_s))


class Layout:
    """An OCI image layout. https://github.com/opencontainers/image-spec/blob/v1.0.2/image-layout.md"""

    def __init__(self, folder):
        self.folder = folder
        (folder / "blobs/sha256").mkdir(parents=True, exist_ok=True)
        for old in (folder / "blobs/sha256").iterdir():
            old.unlink()
        (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}\n')

    def blob(self, kind, content):
        if not isinstance(content, bytes):
            content = json.dumps(content, sort_keys=True).encode()
        digest = hashlib.sha256(content).hexdigest()
        (self.folder / "blobs/sha256" / digest).write_bytes(content)
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": "sha256:" + digest, "size": len(content)}

    def image(self, tar, labels, at_s, version):
        layer = self.blob("layer.v1.tar+gzip", gzip.compress(tar, 6, mtime=at_s))
        config = self.blob("config.v1+json", {
            "created": when(at_s), "architecture": said("dpkg", "--print-architecture"), "os": "linux",
            "config": {"User": f"{USER}:{USER}", "Env": ["PATH=/usr/bin"], "Entrypoint": ["/usr/bin/understory"], "Cmd": ["--help"],
                       "WorkingDir": "/", "Labels": labels, "ExposedPorts": {"8080/tcp": {}, "9091/tcp": {}}},
            "rootfs": {"type": "layers", "diff_ids": ["sha256:" + hashlib.sha256(tar).hexdigest()]},
            "history": [{"created": when(at_s), "created_by": "ops/image.py"}]})
        manifest = self.blob("manifest.v1+json", {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                                                  "config": config, "layers": [layer], "annotations": labels})
        manifest["annotations"] = {"org.opencontainers.image.ref.name": version}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [manifest]}) + "\n")
        return manifest["digest"], layer["size"]


def revision_of(source):
    """(commit, time of it); of a folder that is no clone: nothing, and the beginning of time."""
    try:
        revision, at = said("git", "-C", source, "log", "-1", "--format=%H %ct", stderr=subprocess.DEVNULL).split()
        is_changed = said("git", "-C", source, "status", "--porcelain") != ""
    except (subprocess.CalledProcessError, FileNotFoundError, ValueError):
        return "unknown", 0
    return revision + ("-changed" if is_changed else ""), int(at)


def main():
    source, build, output = (pathlib.Path(argument).resolve() for argument in sys.argv[1:4])
    revision, committed_s = revision_of(source)
    at_s = int(os.environ.get("SOURCE_DATE_EPOCH", committed_s))
    version = said(build / PROGRAMS["usr/bin/understory"], "--version").split()[-1]
    labels = {"org.opencontainers.image." + key: value for key, value in {
        "title": "understory", "description": "PostgreSQL restore replicas that prove backups: the operator and its S3 proxy",
        "version": version, "revision": revision, "created": when(at_s), "licenses": "Apache-2.0"}.items()}
    if os.environ.get("IMAGE_SOURCE"):
        labels["org.opencontainers.image.source"] = os.environ["IMAGE_SOURCE"]
    root = Root(build)
    root.put(f"{NOTICES}/understory/LICENSE", (source / "LICENSE").read_bytes())
    sbom = (json.dumps(bill(root.packages, version, at_s), indent=1) + "\n").encode()
    root.put(f"{NOTICES}/understory/sbom.spdx.json", sbom)
    tar = root.tar(at_s)
    digest, size = Layout(output).image(tar, labels, at_s, version)
    output.with_name(output.name + ".spdx.json").write_bytes(sbom)
    print(f"{output}:{version}\n{digest}\n{size / 1e6:.1f} MB to pull, {len(tar) / 1e6:.1f} MB unpacked, "
          f"{len(root.packages)} Debian packages, revision {revision}")


if __name__ == "__main__":
    main()
