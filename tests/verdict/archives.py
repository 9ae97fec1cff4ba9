"""Backups of a running server for engines that read folders or an archive of their own, each as its maker leaves it."""
import json
import os
import pathlib
import shutil
import subprocess

from server import own, run


def give_time(folder, major, taken_at):
    """metadata.json, which comes last."""
    size = sum(path.stat().st_size for path in folder.iterdir())
    (folder / "metadata.json").write_text(json.dumps({"source_instance": "source", "backup_time": taken_at, "backup_size_bytes": size,
                                                      "postgres_version": str(major)}))
    make_readable(folder)


def base_backup(server, folder, taken_at="2026-11-20T00:00:00Z", options=()):
    run(server.image.command("pg_basebackup", "-h", server.sockets, "-U", "postgres", "-D", folder, "-Ft", "-z", "-X", "stream", "-c", "fast",
                             "--no-sync", *options))
    names = sorted(path.name for path in folder.iterdir())
    (folder / "checksum.txt").write_text(subprocess.run(["sha256sum", "--", *names], cwd=folder, check=True, capture_output=True, text=True).stdout)
    give_time(folder, server.image.major, taken_at)


def dump(server, folder, dumper, databases, taken_at="2026-11-20T00:00:00Z", options=()):
    """By the programs of another image, where the server's own has none of these."""
    folder.mkdir()
    own(folder)
    for name in databases:
        run(dumper.command("pg_dump", "-h", server.sockets, "-U", "postgres", "-Fc", "-f", folder / f"{name}.dump", *options, name))
    run(dumper.command("pg_dumpall", "-h", server.sockets, "-U", "postgres", "--globals-only", "-f", folder / "globals.sql"))
    give_time(folder, server.image.major, taken_at)


# pgBackRest wants its own name in archive_command. The programs of a server's image have no pgBackRest, so its WAL is archived here first.
def keeping_wal(folder):
    """Settings of a server for PgBackRest(..., folder)."""
    return {"archive_mode": "on", "archive_command": f"test ! -f {folder}/%f && cp %p {folder}/%f # for pgbackrest", "wal_level": "replica"}


class PgBackRest:
    """A stanza of a server, whose WAL lies in a folder, kept by the programs of an image. options: lines that lead to the store."""

    def __init__(self, server, image, wal, options):
        self.server, self.image, self.wal = server, image, wal
        self.folder = pathlib.Path(str(server.data) + ".pgbackrest")
        self.folder.mkdir()
        own(self.folder)
        self.config = self.folder / "conf"
        self.config.write_text("\n".join(["[global]", *options, f"lock-path={self.folder}", f"spool-path={self.folder}", "log-level-file=off",
                                          "log-level-console=error", "start-fast=y", "process-max=2", "compress-type=gz", "archive-check=n",
                                          "[main]", f"pg1-path={server.data}", f"pg1-socket-path={server.sockets}", ""]))
        own(self.config)
        self.config.chmod(0o600)

    def do(self, *words):
        return run(self.image.command("/usr/bin/pgbackrest", f"--config={self.config}", "--stanza=main", *words))

    def back_up(self):
        """Its label. The WAL from its beginning up to now is in the archive then."""
        for file in self.wal.iterdir():
            file.unlink()
        self.do("stanza-create")
        self.do("backup", "--type=full")
        switch_wal(self.server, self.wal)
        for file in sorted(self.wal.iterdir()):
            self.do("archive-push", str(file))
        label = json.loads(self.do("info", "--output=json"))[0]["backup"][-1]["label"]
        shutil.rmtree(self.folder)
        return label


def switch_wal(server, wal):
    """All of its WAL up to now is archived then. Without a record of its own there may be nothing to switch from."""
    server.sql("postgres", "SELECT pg_create_restore_point('switch')")
    server.wait_for_file(wal / server.sql("postgres", "SELECT pg_walfile_name(pg_switch_wal())"))


def make_readable(folder):
    """By the pods' user."""
    run(["chmod", "-R", "a+rX", folder])


def options_of_s3(trial, path):
    """Where pgBackRest keeps a stanza in the trial's store. It speaks TLS alone."""
    return ["repo1-type=s3", f"repo1-path=/{path}", "repo1-s3-bucket=backups", f"repo1-s3-endpoint={trial.tls_endpoint}", "repo1-s3-uri-style=path",
            "repo1-s3-region=us-east-1", f"repo1-s3-key={trial.keys['AWS_ACCESS_KEY_ID']}",
            f"repo1-s3-key-secret={trial.keys['AWS_SECRET_ACCESS_KEY']}", f"repo1-storage-ca-file={trial.dir}/ca.crt",
            "repo1-cipher-type=aes-256-cbc", f"repo1-cipher-pass={(trial.dir / 'password').read_text()}"]


def environment_of_rclone(trial, endpoint):
    """For "store:", the trial's."""
    return {"PATH": os.environ["PATH"], "RCLONE_CONFIG": "/dev/null", "RCLONE_LOG_LEVEL": "ERROR", "RCLONE_CONFIG_STORE_TYPE": "s3",
            "RCLONE_CONFIG_STORE_PROVIDER": "Other", "RCLONE_CONFIG_STORE_ENV_AUTH": "true", "RCLONE_CONFIG_STORE_ENDPOINT": endpoint,
            "RCLONE_CONFIG_STORE_FORCE_PATH_STYLE": "true", "RCLONE_CA_CERT": str(trial.dir / "ca.crt") if trial.has_tls else "", **trial.keys}


def put(trial, folder, prefix):
    """A folder into the trial's bucket, below the prefix."""
    done = subprocess.run(["rclone", "copy", folder, f"store:backups/{prefix}/{folder.name}"], env=environment_of_rclone(trial, trial.endpoint),
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"rclone copy {folder}: {done.stderr[-500:]}")
