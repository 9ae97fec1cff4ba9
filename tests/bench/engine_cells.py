"""Backups of a server of each major for engines other than restic, and what has to come of them, for verdicts.py."""
import shutil

import archives
from captures import base_backup
from cells import Cell
from server import ROWS, Image, own

DATABASES = ("clinic", "registry")
WALG_BACKUP = "base_000000010000000000000003"


def newest(images):
    return Image(18, images / "postgres-18")


def dumper_of(image, images):
    """Its own pg_dump, or the oldest newer one: the servers from npm have none. A dump is loaded into the major of the newer of the two."""
    return {14: Image(15), 16: Image(17, images / "postgres-17")}.get(image.major, image)


def marks_columns(server):
    """Debian's 15.20 gives each column an option pg_attver, which its own pg_dump leaves out and that of 18.6 writes down: no server takes such a
    dump."""
    return server.sql("clinic", "SELECT count(*) > 0 FROM pg_attribute WHERE attoptions::text LIKE '%pg_attver%'") == "t"


def settings_of(folder):
    """Of the server that is backed up."""
    return archives.keeping_wal(folder / "wal")


def prepare(folder):
    (folder / "wal").mkdir()
    own(folder / "wal")


def add_all(add, trial, server, folder, volume, images):
    """add(snapshot, cell): offers it. volume: where the claim of all backups on a volume leads."""
    major = server.image.major
    own_dumper = dumper_of(server.image, images)
    add(*in_folder(trial, server, folder, "basebackup", "pg_basebackup -Ft -z", lambda path: archives.base_backup(server, path)))
    add(*dumped(trial, server, folder, "dump", "pg_dump -Fc, by its own major or the oldest newer one", own_dumper))
    if major < 18 and not marks_columns(server):
        add(*dumped(trial, server, folder, "dump-newer", "pg_dump -Fc, by 18", newest(images)))
    if major == 18:
        add(*dumped(trial, server, folder, "dump-too-new", "pg_dump -Fc, by 19: newer than every server", own_dumper, is_too_new=True))
    add(*archived(trial, server, folder, images))
    add(*walg(server, folder, volume))


def in_folder(trial, server, folder, engine, capture, make, **expected):
    """A folder of the store by the name of what is in it."""
    name = f"pg{server.image.major}-{expected.pop('name', engine)}"
    make(folder / name)
    archives.put(trial, folder / name, "folders")
    shutil.rmtree(folder / name)
    says = {"engine": engine, "prefix": "folders"}
    return name, Cell(name, says=says, **{"capture": capture, "major": server.image.major, "rows": ROWS, **expected})


def dumped(trial, server, folder, name, capture, dumper, is_too_new=False):
    refused = {"grades": ("inconclusive",), "owner": "settings", "stage": "capture", "cause": "newer than every server: .* PostgreSQL 19", "rows": None}

    def make(path):
        archives.dump(server, path, dumper, DATABASES)
        for file in path.glob("*.dump") if is_too_new else ():
            text = file.read_bytes()
            at = text.index(b"18.", 0, 200) # of the server; pg_dump's own follows
            file.write_bytes(text[:at] + b"19" + text[at + 2:])

    expected = refused if is_too_new else {"restored_major": dumper.major}
    return in_folder(trial, server, folder, "dump", capture, make, name=name, **expected)


def archived(trial, server, folder, images):
    major = server.image.major
    options = archives.options_of_s3(trial, f"pgbackrest/{major}")
    repository = archives.PgBackRest(server, Image(18, images / "pgbackrest-18"), folder / "wal", options)
    cell = Cell(f"pg{major}-pgbackrest", major=major, capture="pgBackRest of Debian forky", rows=ROWS,
                says={"engine": "pgbackrest", "stanza": "main", "prefix": f"pgbackrest/{major}"})
    return repository.back_up(), cell


def walg(server, folder, volume):
    """As WAL-G has it: a backup and the WAL, up to what the double is to find."""
    major = server.image.major
    repository = volume / f"walg-{major}"
    for one in (repository, repository / "basebackups_005"):
        one.mkdir()
        own(one)
    base_backup(server, repository / "basebackups_005" / WALG_BACKUP, "-X", "none", "--no-manifest")
    (repository / f"basebackups_005/{WALG_BACKUP}_backup_stop_sentinel.json").write_text('{"Spec":null}\n')
    archives.switch_wal(server, folder / "wal")
    shutil.copytree(folder / "wal", repository / "wal_005")
    archives.make_readable(repository)
    return WALG_BACKUP, Cell(f"pg{major}-walg", major=major, capture="WAL-G (a double)", rows=ROWS,
                             says={"engine": "walg", "storage": "file", "bucket": "backups", "prefix": f"walg-{major}"})
