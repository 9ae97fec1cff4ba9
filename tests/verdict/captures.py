"""The ways in which a running server's files come into a backup. Each is a function (server, tree): the files lie in tree afterwards."""
import subprocess

from server import Server, own, run
from stage import wait_until


def copy(source, tree):
    run(["cp", "-a", "--", source, tree])


def clean_stop(server, tree):
    """The server is stopped in order, and started again afterwards."""
    server.stop()
    copy(server.data, tree)
    server.start()


def atomic(server, tree):
    """All files as they are in one moment, as LVM, btrfs and VSS give it: nothing is written while they are copied."""
    begin_wal(server)
    held = server.freeze()
    try:
        copy(server.data, tree)
    finally:
        server.thaw(held)


def standby(server, tree):
    """As `atomic`, of a hot standby that follows the server: only pg_control says how far its files must be recovered."""
    files = tree.with_name(tree.name + ".source")
    base_backup(server, files, "-X", "stream", "-R")
    with Server(server.image, files, server.settings) as follower:
        server.wait_for_load(100)
        follow(server, follower)
        follower.sql("clinic", "CHECKPOINT")
        server.wait_for_load(100)
        held = follower.freeze()
        try:
            copy(files, tree)
        finally:
            follower.thaw(held)


def follow(server, follower):
    """Until it is where the server was."""
    at = server.sql("clinic", "SELECT pg_current_wal_lsn()")
    wait_until("the standby", lambda: follower.sql("clinic", f"SELECT pg_last_wal_replay_lsn() >= '{at}'") == "t", 60)


def begin_wal(server):
    """A checkpoint, and several files of WAL since: a crash recovery has to read them all."""
    server.sql("clinic", "CHECKPOINT")
    for _ in range(3):
        server.wait_for_load(40)
        server.sql("clinic", "SELECT pg_switch_wal()")
    server.wait_for_load(40)


def live(server, tree):
    """File by file while the server writes them, in one session between the start and the stop of a backup; then the WAL."""
    names = ("pg_start_backup('live', true, false)", "pg_stop_backup(false, true)") if server.image.major < 15 else \
        ("pg_backup_start('live', true)", "pg_backup_stop(true)")
    tree.mkdir(mode=0o700)
    own(tree)
    parts = sorted(path for path in server.data.iterdir() if path.name not in ("postmaster.pid", "postmaster.opts", "pg_wal"))
    session = subprocess.Popen(server.psql("clinic"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")

    def ask(query):
        session.stdin.write(query + ";\n\\echo done\n")
        session.stdin.flush()
        return list(iter(lambda: session.stdout.readline().rstrip("\n"), "done"))

    ask("SET client_min_messages = warning")
    ask("SELECT " + names[0])
    for part in parts:
        copy_what_stays(part, tree)
        if part.name in ("base", "global"):
            server.wait_for_load(300)
    label = "\n".join(ask(f"SELECT labelfile FROM {names[1]}"))
    session.stdin.close()
    session.wait(30)
    if not label.startswith("START WAL LOCATION"):
        raise SystemExit(f"no backup_label: {label}")
    write(tree / "backup_label", label.strip() + "\n")
    # The file with the backup's end is filled up by now: pg_backup_stop has switched to the next.
    copy_what_stays(server.data / "pg_wal", tree)


def copy_what_stays(part, tree):
    """A file may go meanwhile; cp says so and goes on."""
    subprocess.run(["cp", "-a", "--", part, tree], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def write(path, text):
    path.write_text(text)
    path.chmod(0o600)
    own(path)


def base_backup(server, tree, *options):
    run(server.image.command("pg_basebackup", "-h", server.sockets, "-U", "postgres", "-D", tree, "-c", "fast", "--no-sync", *options))


def base_with_wal(server, tree):
    base_backup(server, tree, "-X", "stream")


def base_without_wal(server, tree):
    base_backup(server, tree, "-X", "none")
